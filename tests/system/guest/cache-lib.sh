# shellcheck shell=bash
# What guest scripts of caches share, beside lib.sh: FAST is /dev/ubdc, ORIGIN /dev/ubdd.
# shellcheck source=tests/system/guest/lib.sh
. "$KLIB/lib.sh"
FAST=/dev/ubdc
ORIGIN=/dev/ubdd
load_module dm-cache
load_module dm-cache-smq

# cache_up BLOCKS FEATURES [POLICY]: blocks of 32 KiB; FEATURES as in the table, with commas.
cache_up() {
  dmsetup create fast --table "0 $(($1 * 64)) linear $FAST 0"
  dmsetup create cache --table "0 $(blockdev --getsz $ORIGIN) cache $META /dev/mapper/fast $ORIGIN 64 ${2//,/ } ${3:-smq} 0"
}
cache_down() {
  dmsetup remove cache
  dmsetup remove fast
}

# Until nothing is dirty, ten seconds at the most. Does not commit.
await_clean() {
  local words i
  for ((i = 0; i < 100; i++)); do
    read -ra words < <(dmsetup status --noflush cache)
    [[ ${words[13]} -ne 0 ]] || break
    sleep 0.1
  done
}
