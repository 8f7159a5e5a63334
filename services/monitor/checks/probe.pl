#!/usr/bin/perl
# probe.pl: connects inside of network namespaces, for as long as its standard input is open.
# A line of it: ID PID MILLISECONDS ADDRESS PORT HTTP, words with a tab between; HTTP is '' or HOST PATH with a blank between.
# A line of the answer: ID WORD MORE: ok (connected) | status CODE | refused | timeout | closed | error SENTENCE;
# unknown SENTENCE: it could not be looked at, which says nothing of the other side.
# A socket belongs to the namespace that it was made in: so all of them wait side by side in this one process.
use strict;
use warnings;
use Errno qw(EINPROGRESS EAGAIN EINTR);
use Fcntl;
use POSIX ();
use Socket qw(:all);
use Time::HiRes ();

use constant { CLONE_NEWNET => 0x40000000, MOST => 4096, MOST_OPEN => 2000 };
my $setns = (POSIX::uname())[4] eq 'aarch64' ? 268 : 308;    # setns(2)
my %waiting;
my $pending = '';
$| = 1;
$SIG{PIPE} = 'IGNORE';
open(my $home, '<', '/proc/self/ns/net') or die "/proc/self/ns/net: $!\n";
my @home = stat $home;

sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }

sub answer {
    my ($id, @words) = @_;
    my $line = join "\t", $id, @words;
    $line =~ s/[^\t\x20-\x7e]/?/g;
    print "$line\n" or exit 0;
    my $one = delete $waiting{$id};
    close $one->{socket} if $one;
    return;
}

sub enter {
    my ($handle) = @_;
    return syscall($setns, fileno $handle, CLONE_NEWNET) == 0;
}

sub begin {
    my ($id, $pid, $ms, $address, $port, $http) = @_;
    return answer($id, 'unknown', 'too many checks at once') if keys(%waiting) >= MOST_OPEN;
    my $six = $address =~ /:/;
    my $packed = inet_pton($six ? AF_INET6 : AF_INET, $address);
    open(my $namespace, '<', "/proc/$pid/ns/net") or return answer($id, 'unknown', "process $pid has ended");
    my @other = stat $namespace;
    return answer($id, 'unknown', "process $pid is no vserver any more") if $other[0] == $home[0] && $other[1] == $home[1];
    enter($namespace) or return answer($id, 'unknown', "setns: $!");
    my $made = socket(my $socket, $six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    my $why = "$!";
    enter($home) or die "setns back: $!\n";
    return answer($id, 'unknown', "socket: $why") if !$made;
    fcntl($socket, F_SETFL, O_NONBLOCK);
    fcntl($socket, F_SETFD, FD_CLOEXEC);
    my $to = $six ? pack_sockaddr_in6($port, $packed) : pack_sockaddr_in($port, $packed);
    $waiting{$id} = { socket => $socket, until => now() + $ms / 1000, http => $http, got => '', up => 0 };
    if (connect $socket, $to) { connected($id) }
    elsif ($! != EINPROGRESS) { answer($id, $! =~ /refused/i ? 'refused' : ('error', "$!")) }
    return;
}

sub connected {
    my ($id) = @_;
    my $one = $waiting{$id};
    return answer($id, 'ok') if $one->{http} eq '';
    my ($host, $path) = split / /, $one->{http}, 2;
    $one->{up} = 1;
    my $text = "GET $path HTTP/1.0\r\nHost: $host\r\nUser-Agent: vs-tools\r\nConnection: close\r\n\r\n";
    my $sent = syswrite $one->{socket}, $text;    # less than any send buffer
    answer($id, 'closed') if !defined $sent || $sent < length $text;
    return;
}

sub written {
    my ($id) = @_;
    my $fault = unpack 'i', getsockopt($waiting{$id}{socket}, SOL_SOCKET, SO_ERROR);
    return connected($id) if $fault == 0;
    local $! = $fault;
    return answer($id, $fault == POSIX::ECONNREFUSED() ? 'refused' : ('error', "$!"));
}

sub read_some {
    my ($id) = @_;
    my $one = $waiting{$id};
    my $count = sysread $one->{socket}, $one->{got}, MOST - length $one->{got}, length $one->{got};
    return if !defined $count && ($! == EAGAIN || $! == EINTR);
    if ($one->{got} =~ m{^HTTP/\d\.\d (\d\d\d)(?: [^\n]*)?\r?\n}) { return answer($id, 'status', $1) }
    return answer($id, $count == 0 ? 'closed' : 'error', 'no answer of HTTP') if !$count || length $one->{got} >= MOST || $one->{got} =~ /\n/;
    return;
}

for (;;) {
    my ($reads, $writes) = ('', '');
    vec($reads, fileno STDIN, 1) = 1;
    my $now = now();
    my $next = $now + 3600;
    for my $id (keys %waiting) {
        my $one = $waiting{$id};
        if ($one->{until} <= $now) { answer($id, 'timeout', $one->{up} ? 'connected' : ''); next }
        $next = $one->{until} if $one->{until} < $next;
        if ($one->{up}) { vec($reads, fileno $one->{socket}, 1) = 1 }
        else { vec($writes, fileno $one->{socket}, 1) = 1 }
    }
    my $found = select $reads, $writes, undef, $next - $now;
    next if $found <= 0;
    for my $id (keys %waiting) {
        my $one = $waiting{$id};
        if (!$one->{up} && vec $writes, fileno $one->{socket}, 1) { written($id) }
        elsif ($one->{up} && vec $reads, fileno $one->{socket}, 1) { read_some($id) }
    }
    next if !vec $reads, fileno STDIN, 1;
    my $count = sysread STDIN, $pending, 65_536, length $pending;
    exit 0 if defined $count && $count == 0;
    while ($pending =~ s/^([^\n]*)\n//) { begin(split /\t/, $1, -1) }
}
