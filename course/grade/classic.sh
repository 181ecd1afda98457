# The adapter of programs with the assignment's command lines: `dfs FOLDER PORT`, and `dfc COMMAND...` with a dfc.conf
# in the current folder. grade.py has the folder with the programs as its second argument.
start() { exec "$PROGRAMS/dfs" "$2" "$3"; }                    # SERVER FOLDER PORT
put() { "$PROGRAMS/dfc" put "$@" ${FOLDER:+"$FOLDER/"}; }      # FILE...
get() { "$PROGRAMS/dfc" get "$1" ${FOLDER:+"$FOLDER/"}; }      # FILE
list() { "$PROGRAMS/dfc" list ${FOLDER:+"$FOLDER/"}; }
mkdir() { "$PROGRAMS/dfc" mkdir "$1"; }                        # FOLDER
pieces() { find "$1" -name ".$3.[1-4]" | sed 's/.*\.//'; }     # FOLDER-OF-A-SERVER USER FILE
