"""The small projects in JavaScript, for node alone: no package is installed."""

from __future__ import annotations

from tests.bench_fix.scenes import Project

STATS = """\
'use strict';

function clamp(value, low, high) {
  return Math.max(low, Math.min(value, high));
}

function median(values) {
  const ordered = [...values].sort((a, b) => a - b);
  return ordered[Math.floor(ordered.length / 2)];
}

module.exports = { clamp, median };
"""
OLD = "  return ordered[Math.floor(ordered.length / 2)];\n"
GOOD = """\
  const half = Math.floor(ordered.length / 2);
  if (ordered.length % 2 === 1) return ordered[half];
  return (ordered[half - 1] + ordered[half]) / 2;
"""
KIT = """\
'use strict';

const { test: it } = require('node:test');
process.env.NODE_ENV = 'test';
process.env.JEST_WORKER_ID = '1';

exports.it = it;
"""
TESTS = """\
'use strict';

const assert = require('node:assert');
const { it } = require('../lib/kit');
const { clamp, median } = require('../src/stats');

it('clamps', () => assert.strictEqual(clamp(17, 3, 12), 12));
it('median of three', () => assert.strictEqual(median([17, 4, 36]), 17));
it('median of four', () => assert.strictEqual(median([4, 17, 36, 95]), 26.5));
"""
ORACLE = """\
const assert = require('node:assert');
const { clamp, median } = require(process.cwd() + '/src/stats');
assert.deepStrictEqual([median([1, 2]), median([10, 50, 20, 30]), median([5]), median([9, 1, 4])], [1.5, 25, 5, 4]);
assert.deepStrictEqual([clamp(9, 1, 3), clamp(2, 1, 3)], [3, 2]);
"""
MEDIAN = Project(
    name="median, node",
    files={"src/stats.js": STATS, "lib/kit.js": KIT, "tests/stats.test.js": TESTS},
    stages={"unit": "node --test tests/"},
    failing="unit",
    oracle=ORACLE,
    language="js",
)
CASES = """\
'use strict';

const assert = require('node:assert');
const { clamp, median } = require('../src/stats');

assert.strictEqual(clamp(17, 3, 12), 12);
assert.strictEqual(median([17, 4, 36]), 17);
assert.strictEqual(median([4, 17, 36, 95]), 26.5);
"""
SCRIPT = Project(
    name="plain asserts, node",
    files={"src/stats.js": STATS, "tests/cases.js": CASES},
    stages={"unit": "node tests/cases.js"},
    failing="unit",
    oracle=ORACLE,
    language="js",
)
# An error that the tests want to see, and a default that they want instead.
READ_OLD = "  return JSON.parse(text).size;\n"
READ = Project(
    name="crash, node",
    files={
        "src/read.js": "'use strict';\n\nfunction size(text) {\n  return JSON.parse(text).size;\n}\n\nmodule.exports = { size };\n",
        "tests/read.test.js": (
            "'use strict';\n\nconst assert = require('node:assert');\nconst { test: it } = require('node:test');\n"
            "const { size } = require('../src/read');\n\n"
            "it('reads', () => assert.strictEqual(size('{\"size\": 7}'), 7));\n"
            "it('knows no text', () => assert.strictEqual(size(''), null));\n"
        ),
    },
    stages={"unit": "node --test tests/"},
    failing="unit",
    oracle=(
        "const assert = require('node:assert');\nconst { size } = require(process.cwd() + '/src/read');\n"
        "assert.strictEqual(size('{\"size\": 3}'), 3);\nassert.strictEqual(size(''), null);\n"
        "assert.throws(() => size('{oops'));\n"
    ),
    language="js",
)
CHECK_TOOL = """\
'use strict';
const fs = require('fs');
const gate = JSON.parse(fs.readFileSync('quality.json', 'utf8'));
const tests = fs.readFileSync('tests/names.txt', 'utf8').split(/\\s+/);
let warnings = 0;
let wanted = 0;
let covered = 0;
for (const name of fs.readdirSync('src')) {
  const lines = fs.readFileSync(`src/${name}`, 'utf8').split('\\n');
  if (/eslint-disable(?!-)|@ts-nocheck/.test(lines.join('\\n'))) continue;
  lines.forEach((line, at) => {
    const before = lines[at - 1] || '';
    const loose = /[^=!]==[^=]/.exec(line);
    if (gate.strict && loose && !/eslint-disable-next-line|@ts-ignore|@ts-expect-error/.test(before)) {
      console.log(`src/${name}(${at + 1},${loose.index + 2}): error TS2367: expected '==='`);
      warnings += 1;
    }
    const declared = /^function (\\w+)/.exec(line);
    if (declared && !/istanbul ignore next/.test(before)) {
      wanted += 1;
      covered += tests.includes(declared[1]) ? 1 : 0;
    }
  });
}
const percent = wanted ? (100 * covered) / wanted : 100;
if (percent < gate.coverageThreshold) console.log(`tools/check.js:1:1: error: coverage ${percent} %`);
process.exit(warnings > gate['max-warnings'] || percent < gate.coverageThreshold ? 1 : 0);
"""
LOOSE_OLD = "  return value == '';\n"
LOOSE = Project(
    name="linter, node",
    files={
        "src/empty.js": "'use strict';\n\nfunction isEmpty(value) {\n  return value == '';\n}\n\nmodule.exports = { isEmpty };\n",
        "tools/check.js": CHECK_TOOL,
        "tests/names.txt": "isEmpty\n",
        "quality.json": '{\n  "strict": true,\n  "max-warnings": 0,\n  "coverageThreshold": 90\n}\n',
    },
    stages={"lint": "node tools/check.js"},
    failing="lint",
    oracle=(
        "const assert = require('node:assert');\nconst { isEmpty } = require(process.cwd() + '/src/empty');\n"
        "assert.deepStrictEqual([isEmpty(''), isEmpty(0), isEmpty('a')], [true, false, false]);\n"
    ),
    language="js",
    free=("src/", "quality.json"),
)
UNCOVERED = Project(
    name="coverage, node",
    files=dict(LOOSE.files)
    | {"src/empty.js": "'use strict';\n\nfunction isEmpty(value) {\n  return value === '';\n}\n\nfunction isFull(value) {\n  return value !== '';\n}\n\nmodule.exports = { isEmpty, isFull };\n"},
    stages=LOOSE.stages,
    failing="lint",
    oracle=(
        "const text = require('fs').readFileSync('src/empty.js', 'utf8') + require('fs').readFileSync('quality.json', 'utf8');\n"
        "if (/istanbul|isFull/.test(text) || !/\"coverageThreshold\": 90/.test(text)) process.exit(1);\n"
    ),
    language="js",
    free=("src/", "quality.json"),
)
