# Ask the place itself, as a visitor would: is there a whole page?
grep -q '</html>' "$DEPLOY_ROOT/$1/current/page.html"
