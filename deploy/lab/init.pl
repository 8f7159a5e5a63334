#!/usr/bin/perl
# The init of one lab node: pid 1 of its pid namespace. Killing it by SIGKILL is the node's power cut.
# usage: init.pl SPEC [inside]      SPEC: lines of tab-separated words, see node.ts
# First in the machine's network namespace (cgroup, listening socket), then, re-executed through nsenter, in the node's:
# file systems, then the services. No shell: every command is a list.
use strict;
use warnings;
use POSIX qw(setsid :sys_wait_h);
use IO::Socket::INET;

my ($file, $inside) = @ARGV;
my (%set, @services);
open(my $in, '<', $file) or die "$file: $!\n";
while (<$in>) {
    chomp;
    my ($key, @words) = split /\t/;
    if ($key eq 'service') { my ($name, $log, @argv) = @words; push @services, { name => $name, log => $log, argv => \@argv } }
    else { $set{$key} = $words[0] }
}
close $in;
my $scratch = "$set{data}/scratch";

sub run { system { $_[0] } @_; die "init: @_ failed\n" if $? }
sub put { my ($path, $text) = @_; open(my $out, '>', $path) or die "$path: $!\n"; print {$out} $text; close $out or die "$path: $!\n" }
sub get { my ($path) = @_; open(my $from, '<', $path) or return ''; local $/; return scalar <$from> // '' }
sub folder { for my $path (@_) { my $at = ''; for (split m{/}, $path) { next if $_ eq ''; $at .= "/$_"; mkdir $at, 0755 unless -d $at } } }

# One cgroup for the node in every hierarchy, so that LXC (which starts from /proc/1/cgroup) nests its own in it.
sub cgroups {
    my $top = '/sys/fs/cgroup';
    if (-e "$top/cgroup.procs") {    # cgroup v2 alone: processes in the leaf init.scope, which LXC prunes
        my $own = "$top/$set{cgroup}";
        mkdir $own; mkdir "$own/init.scope";
        for my $controller (split ' ', get("$own/cgroup.controllers")) { eval { put("$own/cgroup.subtree_control", "+$controller") } }
        put("$own/init.scope/cgroup.procs", '0');
        return;
    }
    for my $hierarchy (grep { !-l && -e "$_/cgroup.procs" } glob "$top/*") {
        my $own = "$hierarchy/$set{cgroup}";
        mkdir $own;
        if (-e "$own/cpuset.cpus") { put("$own/$_", get("$hierarchy/$_")) for 'cpuset.cpus', 'cpuset.mems'; eval { put("$own/cgroup.clone_children", '1') } }
        put("$own/cgroup.procs", '0');
    }
}

if (!defined $inside) {
    # /proc is still the machine's: it knows this process by the pid that the machine sees.
    my $pid = readlink '/proc/self';
    cgroups();
    put("$set{run}/$set{node}.pid.new", "$pid\n");
    rename "$set{run}/$set{node}.pid.new", "$set{run}/$set{node}.pid" or die "pid file: $!\n";
    folder($scratch);
    run('mount', '-t', 'tmpfs', '-o', 'mode=0755', 'vslab', $scratch);
    put("$scratch/machine-net", '');
    run('mount', '--bind', '/proc/self/ns/net', "$scratch/machine-net");
    if ($set{listen}) {
        $^F = 255;    # no close-on-exec on what is opened from here: the broker inherits the socket as descriptor 3
        my $socket = IO::Socket::INET->new(LocalAddr => $set{listen}, Listen => 512, ReuseAddr => 1) or die "init: cannot listen on $set{listen}: $!\n";
        POSIX::dup2(fileno($socket), 3) // die "dup2: $!\n" if fileno($socket) != 3;
        exec 'nsenter', "--net=$set{netns}", '--', $^X, $0, $file, 'inside' or die "nsenter: $!\n";
    }
    exec 'nsenter', "--net=$set{netns}", '--', $^X, $0, $file, 'inside' or die "nsenter: $!\n";
}

sub filesystems {
    # Copies of the other nodes' namespaces would keep those alive after their power cut.
    run('umount', '-R', '-l', '/run/netns') if get('/proc/self/mounts') =~ m{ /run/netns };
    folder(map { "$scratch/$_" } qw(data lab cgroup security up work));
    run('mount', '--rbind', '/sys/fs/cgroup', "$scratch/cgroup");
    run('mount', '--rbind', '/sys/kernel/security', "$scratch/security") if -d '/sys/kernel/security';
    run('mount', '-t', 'proc', 'proc', '/proc');
    run('mount', '-t', 'sysfs', 'sysfs', '/sys');    # after the change of network namespace: it shows that one's devices
    run('mount', '--rbind', "$scratch/cgroup", '/sys/fs/cgroup');
    run('mount', '--rbind', "$scratch/security", '/sys/kernel/security') if -d '/sys/kernel/security';
    run('umount', '-l', "$scratch/cgroup");
    run('mount', '--bind', $set{data}, "$scratch/data");
    run('mount', '--bind', $set{run}, "$scratch/lab");
    # /etc, /run and /var/lib of the machine show through; what the node writes there is its own and goes with it.
    my $overlay = sub {
        my ($path, $at) = @_;
        (my $name = $path) =~ tr{/}{_};
        folder("$at/up/$name", "$at/work/$name");
        run('mount', '-t', 'overlay', 'vslab', '-o', "lowerdir=$path,upperdir=$at/up/$name,workdir=$at/work/$name", $path);
    };
    $overlay->('/etc', $scratch);
    $overlay->('/run', $scratch);
    folder('/run/vslab-node', $set{run});
    run('mount', '--rbind', $scratch, '/run/vslab-node');
    run('mount', '--bind', '/run/vslab-node/lab', $set{run});
    $overlay->('/var/lib', '/run/vslab-node');
    # what the library of a node's clock shares among its processes is this node's alone
    run('mount', '-t', 'tmpfs', '-o', 'mode=1777', 'vslab', '/dev/shm') if $set{clock} && -d '/dev/shm';
    for my $own (qw(/run/vs /run/lxc)) { folder($own); run('mount', '-t', 'tmpfs', '-o', $own eq '/run/vs' ? 'mode=0700' : 'mode=0711', 'vslab', $own) }
    folder('/var/lib/vservers', '/var/lib/vs-tools', '/etc/vs-tools');
    run('mount', '-o', 'loop,noatime', '/run/vslab-node/data/disk.img', '/var/lib/vservers') if -e '/run/vslab-node/data/disk.img';
    chmod 0700, '/var/lib/vservers';
    # LXC 5.0 asks as the guest's root whether it may pass through its folder: that one id may, nobody else.
    run('setfacl', '-m', 'u:100000:--x', '/var/lib/vservers');
    run('mount', '--bind', '/run/vslab-node/data/state', '/var/lib/vs-tools');
    run('mount', '--bind', '/run/vslab-node/data/etc', '/etc/vs-tools');
    put("/etc/$_", "root:100000:65536\n") for 'subuid', 'subgid';
    put('/proc/sys/kernel/hostname', $set{node});
    put('/etc/hostname', "$set{node}\n");
    put('/etc/hosts', "127.0.0.1 localhost $set{node}\n::1 localhost\n");
}
filesystems();

delete @ENV{ grep { /^VS_/ } keys %ENV };
$ENV{PATH} = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
my %running;
my $stopping = 0;

sub note { my $text = join '', map { "$_->{name}\t$_->{pid}\n" } grep { $_->{pid} } @services; put("$set{run}/$set{node}.services.new", $text); rename "$set{run}/$set{node}.services.new", "$set{run}/$set{node}.services" }

sub launch {
    my ($service) = @_;
    my $pid = fork // return;
    if ($pid) { $service->{pid} = $pid; $running{$pid} = $service; return }
    $SIG{$_} = 'DEFAULT' for qw(TERM INT CHLD);
    setsid();
    open STDIN, '<', '/dev/null';
    open STDOUT, '>>', $service->{log} or exit 127;
    open STDERR, '>&', \*STDOUT;
    if ($service->{name} eq 'broker' && $set{listen}) { $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_PID} = $$ }
    elsif ($set{listen}) { POSIX::close(3) }
    if ($set{clock}) {    # timers and monotonic time go on as they are: only the time of day jumps
        @ENV{qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_DONT_FAKE_MONOTONIC FAKETIME_CACHE_DURATION)} = ($set{clock}, "$set{run}/$set{node}.clock", 1, 1);
    }
    exec { $service->{argv}[0] } @{ $service->{argv} } or do { print STDERR "init: $service->{argv}[0]: $!\n"; exit 127 };
}

$SIG{TERM} = $SIG{INT} = sub { $stopping = 1 };
launch($_) for @services;
note();
put("$set{run}/$set{node}.ready", "1\n");
my $until;
while (1) {
    my $changed = 0;
    while ((my $dead = waitpid(-1, WNOHANG)) > 0) {
        my $service = delete $running{$dead} or next;
        $service->{pid} = 0;
        $service->{again} = time + 1;
        $changed = 1;
    }
    if ($stopping) {
        if (!$until) { kill 'TERM', keys %running; $until = time + 10 }
        exit 0 if !%running || time > $until;
    }
    else {
        for my $service (grep { !$_->{pid} && time >= ($_->{again} // 0) } @services) { launch($service); $changed = 1 }
    }
    note() if $changed;
    select undef, undef, undef, 0.1;
}
