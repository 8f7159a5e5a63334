/** What the vservers of the matrix are: a busybox that tells the id of its boot, counts on its disk, and has every kind of file. */

/** Where it tells: the prober of the lab (deploy/lab/wires.ts). */
export const PROBER_PORT = 5514;
const PROBER = `192.0.2.2:${PROBER_PORT}`;

/**
 * Its init: /boot is new at each start, and is told to the prober all the time (syslog, one way: two copies have one MAC,
 * so questions come to one of them alone, but both can tell), with the kernel's uptime, which all on this machine share.
 * A number goes up in /data/log and is shown at /count once it is written: who saw it can ask whether it is still there.
 */
const init = `#!/bin/sh
ending() { kill -TERM -1 2>/dev/null; exec "$1" -n -f; }
trap 'ending poweroff' PWR USR1 USR2
trap 'ending reboot' TERM INT
hostname -F /etc/hostname 2>/dev/null
boot=$(cat /proc/sys/kernel/random/uuid)
echo $boot > /dev/boot
syslogd -n -S -R ${PROBER} &
(
  n=$(tail -n 1 /data/log 2>/dev/null)
  while :; do
    n=$((n + 1))
    echo $n >> /data/log
    echo $n > /dev/count
    read -r up idle < /proc/uptime
    logger -t vs $boot $up
    sleep 0.1
  done
) &
while :; do
  httpd -f -p 80 -h /var/www &
  wait $!
  sleep 1 &
  wait $!
done
`;

/** A script for bash on the host where the stopped vserver lies. */
export const furnish = (name: string, megabytes: number): string => `set -e
cd /var/lib/vservers/${name}/rootfs
cat > sbin/init.new <<'INIT'
${init}INIT
chmod 755 sbin/init.new; mv sbin/init.new sbin/init
mkdir -p data kinds/dir; ln -sfn /dev/boot var/www/boot; ln -sfn /dev/count var/www/count
dd if=/dev/urandom of=ballast bs=1M count=${megabytes} status=none
cd kinds
echo one > file; ln -f file hard; ln -sfn ../file dir/link; [ -e fifo ] || mkfifo fifo; [ -e null ] || mknod null c 1 3
truncate -s 5M sparse; printf x | dd of=sparse bs=1 seek=4000000 conv=notrunc status=none
printf odd > "$(printf 'odd \\n name')"; for n in $(seq 200); do echo $n > dir/f$n; done
chown 1000:2000 file; chmod 4755 dir; setfacl -m u:1234:rw sparse; setfattr -n user.note -v hello file
cp /bin/busybox capable; setcap cap_net_bind_service+ep capable
touch -d '2001-02-03 04:05:06.123456789' file dir`;

/**
 * The tree oracle: every file with kind, mode, ids, size, times, hash, links, ACLs, extended attributes, capabilities; by
 * other tools than those that copy. What the guest itself writes on is left out, but for the numbers, which follow.
 */
export const manifest = (name: string): string => `cd /var/lib/vservers/${name}/rootfs || exit 1
not=(-not -path ./data/log)
find . -type d -printf '%P %y %m %U:%G %T@\\n' | LC_ALL=C sort
find . -not -type d "\${not[@]}" -printf '%P %y %m %U:%G %s %T@ %l %n\\n' | LC_ALL=C sort
find . -type f "\${not[@]}" -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
find . -type f -links +1 -printf '%i %P\\n' | LC_ALL=C sort -k2 | awk '{ if (!($1 in n)) n[$1] = ++c; print n[$1], $2 }'
find . -not -type l -print0 | LC_ALL=C sort -z | xargs -0 getfacl -n 2>/dev/null
find . -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m- 2>/dev/null
getcap -r . | LC_ALL=C sort; stat -c '%n %t:%T' kinds/null; sha256sum ../vserver.json`;

/** The numbers on its disk: how many there are, the last one, and how many do not follow the one before. */
export const numbers = (name: string): string =>
  `awk 'NR > 1 && $1 != last + 1 { bad++ } { last = $1 } END { print NR + 0, last + 0, bad + 0 }' /var/lib/vservers/${name}/rootfs/data/log`;
