#!/bin/sh
# A radosgw (Ceph's S3 server) on the loopback address, with one monitor and one OSD that keeps all
# in memory. Needs Debian's packages ceph-mon, ceph-osd and radosgw, and no rights.
#
#     tests/remotes/radosgw.sh FOLDER PORT MON_PORT
#
# FOLDER is new and has all that it writes. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY become those
# of its one user. PORT answers after some ten seconds. It runs until its input ends or it is killed,
# and takes all its processes with it.
set -eu
exec 3<&0

folder=$1 port=$2 mon_port=$3
pids=
mkdir -p "$folder/mon" "$folder/osd"
export CEPH_CONF="$folder/ceph.conf"
fsid=$(cat /proc/sys/kernel/random/uuid)

stop() {
    trap '' EXIT INT TERM
    kill $pids 2>/dev/null || true
    wait
}
trap stop EXIT
trap 'exit 1' INT TERM

start() {  # a daemon in the background, its words in FOLDER/NAME.out
    name=$1
    shift
    "$@" >"$folder/$name.out" 2>&1 </dev/null &
    pids="$pids $!"
}

# No key rings: nobody but this machine can reach it. Without `crc` a client waits for ever for
# messages that are signed with keys that nobody has. Without tcp_nodelay each GET takes 44 ms.
cat >"$CEPH_CONF" <<END
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$mon_port/0
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
run dir = $folder
admin socket = $folder/\$name.asok
log file = $folder/\$name.log
pid file =
[mon]
mon data = $folder/mon
[osd]
osd objectstore = memstore
memstore device bytes = 8589934592
osd data = $folder/osd
[client]
ms mon client mode = crc
rgw data = $folder
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
END

monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" "$folder/monmap" >/dev/null
ceph-mon -i a --mkfs --monmap "$folder/monmap"
start mon ceph-mon -f -i a
uuid=$(cat /proc/sys/kernel/random/uuid)
ceph osd new "$uuid" 0 >/dev/null
ceph-osd -i 0 --mkfs --osd-uuid "$uuid" >"$folder/mkfs.out" 2>&1
start osd ceph-osd -f -i 0
radosgw-admin -n client.rgw user create --uid=vgr --display-name=vgr \
    --access-key="$AWS_ACCESS_KEY_ID" --secret-key="$AWS_SECRET_ACCESS_KEY" >"$folder/user.out" 2>&1
start rgw radosgw -f -n client.rgw
cat <&3 >/dev/null &  # waited for, for a signal would wait for it else
wait $!
