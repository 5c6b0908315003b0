"""`python tests/fixing/record_logs.py [TOOL…]`: records tests/fixing/logs/<tool>/<case>.log from the real tools.

Not a test: the logs are kept, so that no test needs the tools. Each case is a small project in FOLDER and a command.
Recorded on 2026-11-28 with pytest 9.2, unittest of Python 3.11, jest 30, vitest 4, node 20, tsc 7.0, eslint 10, go 1.19,
cargo 1.95, gcc 12, clang 14, GNU ld 2.40, ruff 0.17, flake8 7, mypy 2.4, black 26, maven 3.8, gradle 4.4, dash, bash.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

LOGS = Path(__file__).parent / "logs"
FOLDER = Path("/home/ada/shop")

PRICING = """\
class Cart:
    def __init__(self, items):
        self.items = items


def total(cart):
    return sum(price for _, price in cart.items)


def average(cart):
    return total(cart) / len(cart.items)
"""
TEST_PRICING = """\
import pytest

from src.pricing import Cart, average, total


@pytest.fixture
def broken():
    raise RuntimeError("no database at 127.0.0.1:5432")


class TestCart:
    def test_total(self):
        assert total(Cart([("tea", 3), ("jam", 4)])) == 8, "prices add up"

    def test_passes(self):
        assert total(Cart([])) == 0


@pytest.mark.parametrize("name", ["one item", "two - items"])
def test_named(name):
    assert name == "one item"


def test_average_of_nothing():
    assert average(Cart([])) == 0


def test_with_fixture(broken):
    pass


@pytest.mark.skip(reason="later")
def test_later():
    pass
"""
PYTEST = {"src/__init__.py": "", "src/pricing.py": PRICING, "tests/test_pricing.py": TEST_PRICING}
UNITTEST = {
    "app.py": "def double(n):\n    return n + n + 1\n\n\ndef half(n):\n    return n / 0\n",
    "test_app.py": '''\
import unittest

import app


class Double(unittest.TestCase):
    def test_two(self):
        """Two and two are four."""
        self.assertEqual(app.double(2), 4)

    def test_many(self):
        for n in (1, 3):
            with self.subTest(n=n):
                self.assertEqual(app.double(n), 2 * n)

    def test_half(self):
        app.half(2)

    @unittest.skip("later")
    def test_later(self):
        pass
''',
}
JS = {
    "package.json": '{"name": "shop", "type": "commonjs"}\n',
    "src/cart.js": """\
function total(items) {
  return items.map((item) => item.price.value).reduce((a, b) => a + b, 0);
}
module.exports = { total };
""",
    "src/cart.test.js": """\
const { total } = require("./cart");

describe("cart", () => {
  test("adds up", () => {
    expect(total([{ price: { value: 2 } }, { price: { value: 3 } }])).toBe(6);
  });
  test("takes items without a price", () => {
    expect(total([{}])).toBe(0);
  });
  test.skip("later", () => {});
  test("is empty", () => {
    expect(total([])).toBe(0);
  });
});
""",
    "src/lost.test.js": 'const lost = require("./lost");\n\ntest("lost", () => {});\n',
}
VITEST = {
    "package.json": '{"name": "shop", "type": "module"}\n',
    "src/cart.ts": """\
export function total(items: { price: { value: number } }[]): number {
  return items.map((item) => item.price.value).reduce((a, b) => a + b, 0);
}
""",
    "src/cart.test.ts": """\
import { describe, expect, test } from "vitest";
import { total } from "./cart";

describe("cart", () => {
  test("adds up", () => {
    expect(total([{ price: { value: 2 } }, { price: { value: 3 } }])).toBe(6);
  });
  test("takes items without a price", () => {
    expect(total([{} as any])).toBe(0);
  });
  test.skip("later", () => {});
  test("is empty", () => {
    expect(total([])).toBe(0);
  });
});
""",
    "src/lost.test.ts": 'import { lost } from "./lost";\nimport { test } from "vitest";\n\ntest("lost", () => lost());\n',
}
NODE = {
    "server.js": """\
const { load } = require("./lib/load");

function start() {
  try {
    load("shop.json");
  } catch (error) {
    throw new Error("cannot start", { cause: error });
  }
}

start();
""",
    "lib/load.js": """\
function load(name) {
  return JSON.parse("{" + name);
}
module.exports = { load };
""",
}
TSC = {
    "tsconfig.json": '{"compilerOptions": {"strict": true, "noEmit": true, "types": []}, "include": ["src"]}\n',
    "src/cart.ts": """\
export function total(prices: number[]): string {
  return prices.reduce((a, b) => a + b, 0);
}

export const first = totl([1]);
""",
    "src/shop.ts": 'import { total } from "./cart";\n\nconst price: number = total(["a"]);\n',
}
ESLINT = {
    "package.json": '{"name": "shop", "type": "module"}\n',
    "eslint.config.js": """\
export default [
  { rules: { "no-unused-vars": "error", "no-undef": "error", eqeqeq: "warn", "prefer-const": "error" } },
];
""",
    "src/cart.js": "let total = 1;\n\nexport function add(a, b) {\n  if (a == 2) return a;\n  return a + summ;\n}\n",
    "src/shop.js": "export const broken = ;\n",
}
GO_MOD = {"go.mod": "module example.test/shop\n\ngo 1.19\n"}
GO_TEST = {
    **GO_MOD,
    "cart/cart.go": """\
package cart

func Total(prices []int) int {
	sum := 1
	for _, price := range prices {
		sum += price
	}
	return sum
}

func First(prices []int) int {
	return prices[0]
}
""",
    "cart/cart_test.go": """\
package cart

import "testing"

func TestTotal(t *testing.T) {
	for _, one := range []struct {
		name   string
		prices []int
		want   int
	}{{"two prices", []int{1, 2}, 3}, {"none", nil, 1}} {
		t.Run(one.name, func(t *testing.T) {
			if got := Total(one.prices); got != one.want {
				t.Errorf("Total(%v) = %d, want %d", one.prices, got, one.want)
			}
		})
	}
}

func TestSkipped(t *testing.T) { t.Skip("later") }

func TestPasses(t *testing.T) {}
""",
    "shop/shop.go": 'package shop\n\nfunc Name() string { return "shop" }\n',
    "shop/shop_test.go": """\
package shop

import "testing"

func TestName(t *testing.T) {
	if Name() != "store" {
		t.Fatalf("Name() = %q", Name())
	}
}
""",
}
GO_PANIC = {
    **GO_TEST,
    "cart/first_test.go": """\
package cart

import "testing"

func TestFirst(t *testing.T) {
	if First(nil) != 0 {
		t.Fatal("no")
	}
}
""",
}
GO_BUILD = {
    **GO_MOD,
    "main.go": """\
package main

import (
	"fmt"
	"os"
)

func main() {
	count := 1
	fmt.Println(total("a", 2))
}
""",
}
GO_RUN = {
    **GO_MOD,
    "main.go": """\
package main

import "fmt"

type cart struct{ items map[string]int }

func (c *cart) add(name string) { c.items[name]++ }

func main() {
	fmt.Println("opening the shop")
	(&cart{}).add("tea")
}
""",
}
CARGO = {"Cargo.toml": '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2021"\n'}
CARGO_BUILD = {
    **CARGO,
    "src/lib.rs": """\
pub fn total(prices: &[u32]) -> u32 {
    let unused = 1;
    prices.iter().summ()
}

pub fn name() -> String {
    "shop"
}
""",
}
CARGO_TEST = {
    **CARGO,
    "src/lib.rs": """\
pub fn total(prices: &[u32]) -> u32 {
    prices.iter().sum::<u32>() + 1
}

pub fn first(prices: &[u32]) -> u32 {
    *prices.first().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up() {
        assert_eq!(total(&[1, 2]), 3, "prices add up");
    }

    #[test]
    fn takes_nothing() {
        assert_eq!(first(&[]), 0);
    }

    #[test]
    fn passes() {}

    #[test]
    #[ignore]
    fn later() {}
}
""",
    "tests/shop.rs": "#[test]\nfn opens() {\n    assert!(shop::total(&[]) == 0);\n}\n",
}
CARGO_RUN = {
    **CARGO,
    "src/main.rs": """\
fn price(text: &str) -> u32 {
    text.parse().expect("a price")
}

fn main() {
    println!("{}", price("three"));
}
""",
}
CC = {
    "cart.h": "int total(const int *prices, int count);\n",
    "cart.c": """\
#include "cart.h"

int total(const int *prices, int count) {
    int sum = 0
    for (int at = 0; at < count; at++)
        sum += prices[at];
    return summ;
}
""",
    "shop.c": '#include "lost.h"\n\nint main(void) { return 0; }\n',
    "warn.c": "int unused(int a) {\n    int b;\n    return a;\n}\n",
}
LD = {
    "main.c": "int total(int);\nint average(int);\n\nint main(void) {\n    return total(1) + average(2);\n}\n",
    "Makefile": "shop: main.o\n\t$(CC) -o shop main.o -llost\n",
}
LINT = {
    "pyproject.toml": '[tool.ruff.lint]\nselect = ["E", "F", "I"]\n',
    "shop/__init__.py": "",
    "shop/cart.py": "import sys\nimport os\n\n\ndef total(prices):\n    l = sum(prices)\n    return summ\n",
    "shop/broken.py": "def half(:\n    pass\n",
}
FORMAT = {"shop/cart.py": "x = {  'a':1 }\n", "shop/fine.py": "x = 1\n"}
MYPY = {
    "shop/cart.py": """\
def total(prices: list[int]) -> str:
    return sum(prices)


def name() -> str:
    return total(["a"]).lost
""",
    "shop/fine.py": "import lost\n",
}
JAVA = {
    "Shop.java": """\
public class Shop {
    static int price(String text) {
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException error) {
            throw new IllegalStateException("no price: " + text, error);
        }
    }

    public static void main(String[] arguments) {
        System.out.println(price("three"));
    }
}
""",
    "Broken.java": 'public class Broken {\n    int one() { return "1" }\n    Lost lost;\n}\n',
}
JUNIT_TEST = """\
package test.example;

import static org.junit.Assert.assertEquals;

import org.junit.Test;

public class CartTest {
    @Test
    public void addsUp() {
        assertEquals(3, Cart.total(1, 2));
    }

    @Test
    public void takesNothing() {
        Cart.first();
    }

    @Test
    public void passes() {}
}
"""
JUNIT_CODE = """\
package test.example;

public class Cart {
    static int total(int... prices) {
        int sum = 1;
        for (int price : prices) sum += price;
        return sum;
    }

    static int first(int... prices) {
        return prices[0];
    }
}
"""
POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test.example</groupId>
  <artifactId>shop</artifactId>
  <version>1.0</version>
  <properties>
    <maven.compiler.source>8</maven.compiler.source>
    <maven.compiler.target>8</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <dependencies>
    <dependency><groupId>junit</groupId><artifactId>junit</artifactId><version>4.x</version><scope>test</scope></dependency>
  </dependencies>
</project>
"""
MAVEN = {
    "pom.xml": POM,
    "src/main/java/test/example/Cart.java": JUNIT_CODE,
    "src/test/java/test/example/CartTest.java": JUNIT_TEST,
}
MAVEN_BUILD = {**MAVEN, "src/main/java/test/example/Cart.java": JUNIT_CODE.replace("int sum = 1;", "int sum = lost;")}
GRADLE = {
    "build.gradle": 'apply plugin: "java"\ndependencies { testCompile files("/usr/share/java/junit4.jar", "/usr/share/java/hamcrest-core.jar") }\n',
    "settings.gradle": 'rootProject.name = "shop"\n',
    "src/main/java/test/example/Cart.java": JUNIT_CODE,
    "src/test/java/test/example/CartTest.java": JUNIT_TEST,
}
GRADLE_BUILD = {**GRADLE, "src/main/java/test/example/Cart.java": MAVEN_BUILD["src/main/java/test/example/Cart.java"]}
TRACE = {
    "shop.py": """\
import json

from lib.load import load


def main():
    try:
        load("{")
    except json.JSONDecodeError as error:
        raise SystemError("cannot open the shop") from error


main()
""",
    "lib/__init__.py": "",
    "lib/load.py": "import json\n\n\ndef load(text):\n    return json.loads(text)\n",
}
SHELL = {
    "build.sh": 'set -u\necho building\nlost --version\ncat missing.txt\necho "$UNSET"\n',
    "locked.sh": "echo no\n",
}

MVN = "mvn -o -B -Dmaven.repo.local=/usr/share/maven-repo"
GRADLE_TEST = "GRADLE_USER_HOME=/tmp/gradle gradle --offline --no-daemon --console=plain"
# Tool, case, files, command.
CASES = [
    ("pytest", "long", PYTEST, "python -m pytest"),
    ("pytest", "long-colour", PYTEST, "python -m pytest --color=yes"),
    ("pytest", "short", PYTEST, "python -m pytest --tb=short -q"),
    ("pytest", "line", PYTEST, "python -m pytest --tb=line -q"),
    ("pytest", "native", PYTEST, "python -m pytest --tb=native -v"),
    ("pytest", "none", PYTEST, "python -m pytest --tb=no -q"),
    ("pytest", "xdist", PYTEST, "python -m pytest -n 2"),
    ("pytest", "collect", {**PYTEST, "tests/test_lost.py": "import lost\n", "tests/test_syntax.py": "def x(:\n"}, "python -m pytest"),
    ("pytest", "conftest", {**PYTEST, "tests/conftest.py": "import lost\n"}, "python -m pytest"),
    ("pytest", "twice", PYTEST, "python -m pytest -q -k total; python -m pytest -q -k named"),
    ("unittest", "fail", UNITTEST, "python -m unittest"),
    ("unittest", "verbose", UNITTEST, "python -m unittest -v"),
    ("jest", "fail", JS, "jest --no-color"),
    ("jest", "fail-colour", JS, "FORCE_COLOR=1 jest"),
    ("jest", "json", JS, "jest --json 2>/dev/null"),
    ("vitest", "fail", VITEST, "NO_COLOR=1 vitest run"),
    ("vitest", "fail-colour", VITEST, "FORCE_COLOR=1 vitest run"),
    ("node", "uncaught", NODE, "node server.js"),
    ("node", "rejected", {"main.js": "async function open() {\n  await null;\n  undefined.lost();\n}\nopen();\n"}, "node main.js"),
    ("tsc", "plain", TSC, "tsc -p . --pretty false"),
    ("tsc", "pretty", TSC, "tsc -p . --pretty true"),
    ("eslint", "stylish", ESLINT, "eslint --no-color src"),
    ("eslint", "stylish-colour", ESLINT, "FORCE_COLOR=1 eslint src"),
    ("eslint", "json", ESLINT, "eslint -f json src"),
    ("go", "test", GO_TEST, "go test ./..."),
    ("go", "test-verbose", GO_TEST, "go test -v ./..."),
    ("go", "test-json", GO_TEST, "go test -json ./..."),
    ("go", "test-panic", GO_PANIC, "go test ./cart"),
    ("go", "build", GO_BUILD, "go build ./..."),
    ("go", "run", GO_RUN, "go run ."),
    ("go", "vet", {**GO_MOD, "main.go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Printf("%d\\n", "a") }\n'}, "go vet ./..."),
    ("cargo", "build", CARGO_BUILD, "cargo build --offline"),
    ("cargo", "build-colour", CARGO_BUILD, "cargo build --offline --color always"),
    ("cargo", "build-json", CARGO_BUILD, "cargo build --offline --message-format json"),
    ("cargo", "test", CARGO_TEST, "cargo test --offline --no-fail-fast"),
    ("cargo", "run", CARGO_RUN, "cargo run --offline -q"),
    ("gcc", "errors", CC, "gcc -Wall -Werror -c cart.c; gcc -c shop.c; gcc -Wall -Werror -c warn.c"),
    ("gcc", "errors-colour", CC, "gcc -fdiagnostics-color=always -Wall -c cart.c"),
    ("clang", "errors", CC, "clang -Wall -Werror -c cart.c; clang -c shop.c"),
    ("ld", "undefined", LD, "gcc -g main.c -o shop"),
    ("ld", "lost", LD, "make"),
    ("ruff", "full", LINT, "ruff check"),
    ("ruff", "full-colour", LINT, "FORCE_COLOR=1 ruff check"),
    ("ruff", "concise", LINT, "ruff check --output-format concise"),
    ("ruff", "json", LINT, "ruff check --output-format json"),
    ("ruff", "json-lines", LINT, "ruff check --output-format json-lines"),
    ("ruff", "sarif", LINT, "ruff check --output-format sarif"),
    ("ruff", "format", FORMAT, "ruff format --check"),
    ("flake8", "errors", LINT, "flake8 shop"),
    ("mypy", "errors", MYPY, "mypy shop"),
    ("mypy", "pretty", MYPY, "mypy --pretty --show-column-numbers shop"),
    ("black", "check", FORMAT, "black --check ."),
    ("java", "uncaught", JAVA, "java Shop.java"),
    ("java", "javac", JAVA, "javac Broken.java"),
    ("maven", "test", MAVEN, f"{MVN} test"),
    ("maven", "build", MAVEN_BUILD, f"{MVN} compile"),
    ("gradle", "test", GRADLE, f"{GRADLE_TEST} test"),
    ("gradle", "build", GRADLE_BUILD, f"{GRADLE_TEST} build"),
    ("python", "chained", TRACE, "python shop.py"),
    ("python", "syntax", {"shop.py": "def half(:\n    pass\n"}, "python shop.py"),
    ("shell", "dash", SHELL, "dash build.sh"),
    ("shell", "bash", SHELL, "bash build.sh; ./locked.sh"),
    ("shell", "make", {"Makefile": "all:\n\tlost --version\n"}, "make"),
    ("shell", "npm", {"package.json": '{"name": "shop"}\n'}, "npm run lost"),
]  # fmt: skip


def record(tool: str, case: str, files: dict[str, str], command: str) -> None:
    """Lay the project out, run the command, keep what it printed."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, text in files.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    modules = os.environ.get("NODE_MODULES")
    if modules and tool in ("jest", "vitest", "tsc", "eslint"):
        (FOLDER / "node_modules").symlink_to(modules)
    env = {
        "PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "LC_ALL": "C.UTF-8", "TZ": "UTC", "CI": "1",
        "NPM_CONFIG_UPDATE_NOTIFIER": "false", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    shell = ["sh", "-c", f"exec 2>&1\n{command}"]
    done = subprocess.run(shell, cwd=FOLDER, env=env, capture_output=True, timeout=300)
    target = LOGS / tool / f"{case}.log"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(_like_ada(done.stdout, modules))
    print(f"{tool}/{case}: exit {done.returncode}, {len(done.stdout)} bytes")


def _like_ada(output: bytes, modules: str | None) -> bytes:
    """Put the recorder's own folders where Ada would have them."""
    tools = subprocess.run(
        ["python", "-c", "import sys; print(sys.prefix, sys.base_prefix)"], capture_output=True, text=True, check=True
    )
    prefix, base = tools.stdout.split()
    places = [(f"{prefix}/", "/home/ada/venv/"), (f"{base}/lib", "/usr/lib"), (f"{os.environ['HOME']}/", "/home/ada/")]
    if modules:
        places += [(f"../../..{modules}", "node_modules"), (modules, f"{FOLDER}/node_modules")]
    for real, shown in places:
        output = output.replace(real.encode(), shown.encode())
    return output


def main(wanted: list[str]) -> None:
    """Record all cases, or those of some tools."""
    for tool, case, files, command in CASES:
        if not wanted or tool in wanted or f"{tool}/{case}" in wanted:
            record(tool, case, files, command)
    shutil.rmtree(FOLDER.parent, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
