set -eu
test -s page.html
