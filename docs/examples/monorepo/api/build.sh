set -eu
. shared/version.sh
echo "api $VERSION" > api/out.txt
