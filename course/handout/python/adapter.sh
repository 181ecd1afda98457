# What the grader asks of a program, in terms of this one. grade.py has this folder as its second argument.
start() { exec "$PYTHON" "$PROGRAMS/dfs.py" "$2" "$3"; }       # SERVER FOLDER PORT
dfc() { "$PYTHON" "$PROGRAMS/dfc.py" dfc.conf "$@"; }
put() { dfc put "$@" ${FOLDER:+"$FOLDER/"}; }                  # FILE...
get() { dfc get "$1" ${FOLDER:+"$FOLDER/"}; }                  # FILE
list() { dfc list ${FOLDER:+"$FOLDER/"}; }
mkdir() { dfc mkdir "$1"; }                                    # FOLDER
session() { dfc; }                                             # commands from standard input
pieces() { find "$1" -name ".$3.[1-4]" | sed 's/.*\.//'; }     # FOLDER-OF-A-SERVER USER FILE
