/** A tree with every kind of file that a copy can get wrong, in the root file system of web1. */
export const makeTree = `set -e
d=/var/lib/vservers/web1/rootfs/kinds; mkdir -p $d/dir; cd $d
echo one > file; ln file hard; ln -s ../file dir/link; mkfifo fifo; mknod null c 1 3; mknod disk b 7 0
perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "socket", Listen => 1) or die'
truncate -s 5M sparse; printf x | dd of=sparse bs=1 seek=4000000 conv=notrunc status=none
printf 'odd' > "$(printf 'odd \\n name')"; chown 1000:2000 file; chmod 4755 dir; setfacl -m u:1234:rw sparse
setfattr -n user.note -v hello file; cp /bin/busybox capable; setcap cap_net_bind_service+ep capable
touch -d '2001-02-03 04:05:06.123456789' file dir`;

/** What a copy of a tree must keep, by other tools than those that copy. */
export const oracleOf = (rootfs: string): string => `cd ${rootfs}
find . -type d -printf '%P %y %m %U:%G %T@\\n' | LC_ALL=C sort
find . -not -type d -printf '%P %y %m %U:%G %s %T@ %l %n\\n' | LC_ALL=C sort
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
find . -type f -links +1 -printf '%i %P\\n' | LC_ALL=C sort -k2 | awk '{ if (!($1 in n)) n[$1] = ++c; print n[$1], $2 }'
find . -not -type l -print0 | LC_ALL=C sort -z | xargs -0 getfacl -n 2>/dev/null
find . -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m- 2>/dev/null
getcap -r . | LC_ALL=C sort; stat -c '%n %t:%T' kinds/null kinds/disk`;
