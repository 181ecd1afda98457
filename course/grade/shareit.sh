# The adapter of ShareIt: that of the assignment's command lines, with the programs of shareit/, which need SERVER and
# CLIENT. Verifiers with few rounds and a key spare each server and each command half a second of work;
# Timeout is for a machine that runs several scenarios at once.
PROGRAMS=$HERE/shareit
. "$HERE/classic.sh"
export MORE_CONF='Timeout 3
MinIterations 4096
Key 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'
start() {
  cp "$HERE/shareit.users" "users.$1" && mv "users.$1" Users.conf
  exec "$PROGRAMS/dfs" "$2" "$3"
}
session() { "$PROGRAMS/dfc"; }
