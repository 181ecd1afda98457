# The adapter of dfs.py.
dfs() { exec "${PYTHON:-python3}" -IS "$HERE/dfs.py" "$@"; }
start() { dfs serve "$2" "$3"; }
put() { (dfs dfc.conf put "$@" ${FOLDER:+"$FOLDER/"}); }
get() { (dfs dfc.conf get "$1" ${FOLDER:+"$FOLDER/"}); }
list() { (dfs dfc.conf list ${FOLDER:+"$FOLDER/"}); }
mkdir() { (dfs dfc.conf mkdir "$1"); }
session() { dfs dfc.conf; }
pieces() { find "$1" -name ".$3.[1-4]" | sed 's/.*\.//'; }
