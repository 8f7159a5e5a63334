#!/usr/bin/perl
# session.pl ROWS COLUMNS TIMEOUT_MS TOOL ARGS...: runs a tool and speaks shared/frames.ts on standard input and output.
# ROWS 0: three pipes; else a terminal of its own, with job control. TIMEOUT_MS 0: as long as it likes.
# When its standard input ends, nobody listens any more: then everything that the tool began is ended, and this too.
# Numbers of ioctl(2) are the same on amd64 and arm64.
use strict;
use warnings;
use Fcntl;
use POSIX ();
use Time::HiRes ();

use constant F_SETPIPE_SZ => 1031;    # fcntl(2)
use constant { WINDOW => 262_144, MOST => 65_536, ENOUGH => 262_144, GRACE => 3 };
use constant { TIOCSPTLCK => 0x40045431, TIOCGPTPEER => 0x5441, TIOCSCTTY => 0x540E, TIOCSWINSZ => 0x5414 };
my ($rows, $columns, $timeout, @argv) = @ARGV;
@argv && !grep({ !/^\d+$/ } $rows, $columns, $timeout) or die "usage: session.pl ROWS COLUMNS TIMEOUT_MS TOOL ARGS\n";

my $lost = 0;
$SIG{PIPE} = 'IGNORE';
$SIG{CHLD} = sub { };    # wakes select
$SIG{$_} = sub { $lost = 1 } for 'TERM', 'INT', 'HUP';

my ($in, $out, $err, $pty);
my $child = $rows ? on_terminal() : on_pipes();
my $deadline = $timeout ? now() + $timeout / 1000 : undef;
my ($received, $pending, $ready, $credit, $ended) = ('', '', '', 0, 0);
my ($began, $owned) = (now(), !$pty || $argv[0] ne 'lxc-attach');
my ($status, $died, $kill_at, $why, %sessions) = (undef, undef, undef, 0);
unblock($_) for grep { defined } \*STDIN, \*STDOUT, $in, $out, $err;

sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }

sub unblock {
    my ($handle) = @_;
    fcntl($handle, F_SETFL, fcntl($handle, F_GETFL, 0) | O_NONBLOCK) or die "fcntl: $!\n";
    return;
}

sub become {
    $SIG{$_} = 'DEFAULT' for 'PIPE', 'CHLD', 'TERM', 'INT', 'HUP';
    syscall 436, 3, 0xFFFFFFFF, 0;    # close_range(2): nothing of the agent goes along
    { no warnings 'exec'; exec { $argv[0] } @argv }
    syswrite STDERR, "$argv[0]: $!\n";
    POSIX::_exit(127);
}

sub on_terminal {
    sysopen($pty, '/dev/ptmx', O_RDWR | O_NOCTTY) or die "/dev/ptmx: $!\n";
    my $unlocked = pack 'i', 0;
    ioctl($pty, TIOCSPTLCK, $unlocked) or die "unlock a terminal: $!\n";
    my $flags = O_RDWR | O_NOCTTY;
    my $number = ioctl($pty, TIOCGPTPEER, $flags) or die "the other side of a terminal: $!\n";
    open(my $slave, '+<&=', 0 + $number) or die "the other side of a terminal: $!\n";
    resize($rows, $columns);
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        POSIX::setsid();
        my $steal = 0;
        ioctl($slave, TIOCSCTTY, $steal) or die "a controlling terminal: $!\n";
        POSIX::dup2(fileno $slave, $_) for 0 .. 2;
        POSIX::close(fileno $slave) if fileno $slave > 2;
        POSIX::close(fileno $pty);
        become();
    }
    $in = $out = $pty;
    return $pid;
}

sub on_pipes {
    my ($read_in, $write_out, $write_err);
    pipe($read_in, $in) && pipe($out, $write_out) && pipe($err, $write_err) or die "pipe: $!\n";
    fcntl($out, F_SETPIPE_SZ, 4 * ENOUGH);    # fewer turns; not granted beyond /proc/sys/fs/pipe-user-pages-soft
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        POSIX::setsid();    # so that what it leaves behind is found by its session
        POSIX::dup2(fileno $read_in, 0);
        POSIX::dup2(fileno $write_out, 1);
        POSIX::dup2(fileno $write_err, 2);
        become();
    }
    return $pid;
}

sub resize {
    my ($high, $wide) = @_;
    my $size = pack 'S4', $high, $wide, 0, 0;
    return ioctl($pty, TIOCSWINSZ, $size);
}

sub say_frame {
    my ($letter, $data) = @_;
    $ready .= pack('a N/a*', $letter, $data);
    return;
}

# Every process that the tool began: those below it, and those in its sessions, whoever is their parent by now (proc(5), stat).
sub family {
    my (%parent, %session);
    opendir(my $proc, '/proc') or return $child;
    for my $pid (grep { /^\d+$/ } readdir $proc) {
        open(my $file, '<', "/proc/$pid/stat") or next;
        my $text = <$file> // next;
        my ($state, $above, undef, $sid) = split / /, substr($text, rindex($text, ')') + 2);
        next if $state eq 'Z' && $pid != $child;    # it has ended, whoever looks after it
        ($parent{$pid}, $session{$pid}) = ($above, $sid);
    }
    my %below = defined $status ? () : ($child => 1);    # once it has ended the number may be somebody else's
    for (my $more = 1 ; $more ;) {
        $more = 0;
        for my $pid (keys %parent) { $below{$pid} = $more = 1 if !$below{$pid} && $below{ $parent{$pid} } }
    }
    for my $pid (keys %below) { $sessions{ $session{$pid} } = 1 if $session{$pid} }
    $sessions{$child} = 1;
    my $own = getsid();
    return grep { exists $parent{$_} && ($below{$_} || ($sessions{ $session{$_} } && $session{$_} != $own)) } keys %parent;
}
sub getsid { open(my $file, '<', '/proc/self/stat') or return 0; my $text = <$file>; return (split / /, substr($text, rindex($text, ')') + 2))[3] }

# lxc-attach opens the terminal inside as root of the host, so that nobody inside may open it by its name (screen and tmux do). It is given
# to the user of the program. That is devpts of the guest for sure: the descriptor is held before it is looked at.
sub own_terminal {
    my $host = (stat '/dev/pts')[0] // return 1;
    for my $pid (family()) {
        my $user = (stat "/proc/$pid")[4] or next;
        sysopen(my $held, "/proc/$pid/fd/0", 0x200000) or next;    # O_PATH
        my ($device, $mode, $group, $number) = (stat $held)[0, 2, 5, 6];
        next if ($mode & 0170000) != 0020000 || $device == $host;
        my $major = ($number >> 8) & 0xfff;
        next if $major < 136 || $major > 143;                      # Unix98 slaves
        chown $user, $group, '/proc/self/fd/' . fileno $held;
        my $way = POSIX::Termios->new;    # the terminal inside makes its line ends; lxc-attach has this one make them again
        $way->getattr(fileno $pty);
        $way->setoflag($way->getoflag & ~POSIX::OPOST());
        $way->setattr(fileno $pty, POSIX::TCSANOW());
        return 1;
    }
    return 0;
}

# Asks all of it to end, and sees to it a moment later. lxc-attach hears nothing yet: it tells how the program inside ended.
sub end_all {
    my ($signal) = @_;
    my @members = family();
    kill $signal, grep { $lost || $_ != $child || $argv[0] ne 'lxc-attach' } @members;
    kill 'CONT', @members if $signal != 2;
    $kill_at //= now() + GRACE;
    return;
}

sub take_frame {
    my ($letter, $data) = @_;
    if ($letter eq 'i') {
        if (defined $in && !$ended) { $pending .= $data }
        else { $credit += length $data }    # nobody reads it
        die "more input than was asked for\n" if length $pending > WINDOW;
    }
    elsif ($letter eq 'e') {
        $pending .= "\x04" if $pty && !$ended;
        $ended = 1;
    }
    elsif ($letter eq 'w' && length $data == 4) { resize(unpack 'n2', $data) if $pty }
    elsif ($letter eq 's' && $data =~ /^[\x01\x02\x03\x0f]$/) {
        if (defined $kill_at) { $kill_at = 0 }    # asked twice
        else { end_all(ord $data) }
    }
    elsif ($letter eq 'p') { say_frame('q', '') if length $ready < 2 * ENOUGH }
    else { die "no frame of a session\n" }
    return;
}

sub hear {
    my $got = sysread STDIN, $received, MOST, length $received;
    if (!defined $got) { $lost = 1 if !$!{EAGAIN} && !$!{EINTR}; return }
    if ($got == 0) { $lost = 1; return }
    while (length $received >= 5) {
        my ($letter, $length) = unpack 'a N', $received;
        die "too long a frame\n" if $length > MOST;
        last if length $received < 5 + $length;
        take_frame($letter, substr $received, 5, $length);
        substr $received, 0, 5 + $length, '';
    }
    return;
}

sub feed {
    return if !defined $in || !$owned;    # lxc-attach throws away what was typed before it has its terminal
    if (length $pending) {
        my $wrote = syswrite $in, $pending, MOST;
        if (defined $wrote) { substr $pending, 0, $wrote, ''; $credit += $wrote }
        elsif (!$!{EAGAIN} && !$!{EINTR}) {    # it reads no more
            $credit += length $pending;
            $pending = '';
            $in = undef;
        }
    }
    $in = undef if $ended && !$pty && !length $pending;
    return;
}

# Answers what is left of a handle: itself, or nothing once it has ended.
sub listen_to {
    my ($handle, $letter) = @_;
    my $got;
    while (length $ready < ENOUGH) {
        $got = sysread $handle, my $data, MOST;
        last if !$got;
        say_frame($letter, $data);
    }
    return $handle if $got || length $ready >= ENOUGH;
    return if defined $got;
    return $handle if $!{EINTR};
    return if !$!{EAGAIN};     # EIO: nobody has the terminal any more
    return $handle if !defined $died;
    return now() > $died + 1 ? undef : $handle if $pty;    # what it said may still be on its way through the terminal
    return;                                                # what it left running may hold the pipe: that is not waited for
}

sub send_ready {
    my $wrote = syswrite STDOUT, $ready, 4 * MOST;
    if (defined $wrote) { substr $ready, 0, $wrote, '' }
    elsif (!$!{EAGAIN} && !$!{EINTR}) { $lost = 1 }
    return;
}

sub look_after_child {
    return if defined $status || waitpid($child, POSIX::WNOHANG()) != $child;
    $status = $?;
    $died = now();
    return;
}

sub kill_rest {
    for (1 .. 100) {
        my @left = family() or last;
        kill 'KILL', @left;
        select undef, undef, undef, 0.02;
        look_after_child();
    }
    return;
}

sub step {
    look_after_child();
    if (defined $deadline && now() > $deadline && !$why && !defined $status) { $why = 1; end_all(15) }
    if (defined $kill_at && now() > $kill_at && !defined $status) { kill_rest() }
    my ($reading, $writing) = ('', '');
    vec($reading, fileno STDIN, 1) = 1;
    vec($writing, fileno STDOUT, 1) = 1 if length $ready;
    vec($writing, fileno $in, 1) = 1 if defined $in && $owned && length $pending;
    if (length $ready < ENOUGH) { vec($reading, fileno $_, 1) = 1 for grep { defined } $out, $err }
    $owned ||= own_terminal() || now() > $began + 5 if $pty;
    my $wait = $owned ? 0.3 : 0.02;
    $wait = 0.01 if defined $died && length $ready < ENOUGH;
    select $reading, $writing, undef, $wait;
    hear() if vec($reading, fileno STDIN, 1);
    return if $lost;
    feed();
    $out = listen_to($out, 'o') if defined $out;
    $err = listen_to($err, 'r') if defined $err;
    if ($credit >= 32_768 || ($credit && !length $pending)) { say_frame('c', pack 'N', $credit); $credit = 0 }
    send_ready() if length $ready;
    return;
}

my $fault;
eval {
    step() until $lost || (defined $status && !defined $out && !defined $err);
    1;
} or do { $fault = $@; $lost = 1 };
if ($lost) {
    family();                            # knows the sessions, also once their parents are gone
    end_all(1);                          # before its input ends: what it has is not all of it. $err stays open: a shell says "Hangup"
                                         # there of what it ran, and would die of SIGPIPE before it has cleared anything away
    $pty = $in = $out = undef;           # whoever has the terminal hears that it hung up
    while (now() < $kill_at && family()) { select undef, undef, undef, 0.02; look_after_child() }
    kill_rest();
    die "session: $fault" if defined $fault;
    exit 1;
}
kill_rest() if defined $kill_at;         # it was to end, so nothing of it stays
my $code = $status & 127 ? 128 + ($status & 127) : $status >> 8;
say_frame('x', pack 'CC', $code, $why);
fcntl(STDOUT, F_SETFL, fcntl(STDOUT, F_GETFL, 0) & ~O_NONBLOCK);
while (length $ready) {
    my $wrote = syswrite STDOUT, $ready or last;
    substr $ready, 0, $wrote, '';
}
