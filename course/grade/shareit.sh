# The adapter of ShareIt: that of the assignment's command lines, with the programs of shareit/, which need SERVER and
# CLIENT. Verifiers with few rounds and a key spare each command and each server half a second of work.
PROGRAMS=$HERE/shareit
. "$HERE/classic.sh"
export MORE_CONF='MinIterations 4096
Key 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'
QUICK_USERS='Alice SCRAM-SHA-256$4096:QWxpY2UncyBzYWx0$NiVMcbBFKLBiTCryhC2wuoswc5aK9NVrPBDcxDzcu6E=:p+lFKuV1tdU1ZI/ecwZiInPKNPSnyIlKha7d0ZErNqo=
Bob SCRAM-SHA-256$4096:Qm9iJ3Mgc2FsdA==$XPix/YcqDTSD/3/fHum3sOZd52XAMqOT/MhqJAT6ewI=:OaDpUiiMUL20pKXGWtAIpxrlQyHFhxJqJuGBDj8+q1Y='
start() {
  printf '%s\n' "$QUICK_USERS" >"users.$1" && mv "users.$1" Users.conf
  exec "$PROGRAMS/dfs" "$2" "$3"
}
