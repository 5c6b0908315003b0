# Put the page into a folder of its own below releases/, then let `current` point at it: visitors see the old one or the new.
set -eu
place="${DEPLOY_ROOT:?say where to, for example export DEPLOY_ROOT=\$HOME/www}/$1"
release="$place/releases/$CICD_RUN"
mkdir -p "$release"
cp page.html "$release/page.html"
ln -sfn "releases/$CICD_RUN" "$place/next"
mv -T "$place/next" "$place/current"
echo "$1 has release $CICD_RUN of $CI_COMMIT_SHORT_SHA"
