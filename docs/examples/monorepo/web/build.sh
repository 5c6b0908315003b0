set -eu
. shared/version.sh
echo "web $VERSION" > web/out.txt
