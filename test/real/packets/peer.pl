#!/usr/bin/perl
# One end of the packet table: runs in a network namespace and speaks JSON lines on its standard streams.
# {"serve":{"tcp":[80],"udp":[53]}}          listens there, dual stack, and sends back what it hears
# {"cases":[{id,protocol,to,port,sport,bytes}],"seconds":1.5} sends all at once; answers {id: outcome}
# {"flows":[{id,to,port}],"every":0.003}     numbered datagrams until the next line; answers {id: {sent, answered, refused}}
# {"heard":true}                             how many datagrams of each flow the listener heard
# {"frames":["hex"],"device":"eth0"}         raw frames
# {"capture":["eth0"]}, then {"captured":true} all frames of these devices ("*": of all, also of those that come) as [device, packet type, hex]
use strict;
use warnings;
use JSON::PP;
use Socket qw(:DEFAULT IPPROTO_IPV6 IPV6_V6ONLY IPPROTO_TCP inet_pton inet_ntop getaddrinfo);
use IO::Select;
use IO::Socket;
use Errno qw(EINPROGRESS ECONNREFUSED EHOSTUNREACH ENETUNREACH EPERM EMSGSIZE EAGAIN EPROTO);
use Fcntl;
use Time::HiRes qw(time sleep);
$| = 1;
my $RCVBUFFORCE = 33;
my ($child, @captures, %heard);
my $heard_pipe;

sub six { return $_[0] =~ /:/ }
sub address { my ($ip, $port) = @_; return six($ip) ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $ip)) : pack_sockaddr_in($port, inet_aton($ip)) }
sub nonblocking { my $s = shift; fcntl($s, F_SETFL, fcntl($s, F_GETFL, 0) | O_NONBLOCK); return $s }
sub open_socket {
    my ($family, $type, $protocol) = @_;
    socket(my $s, $family, $type, $protocol // 0) or die "socket: $!";
    return nonblocking($s);
}
sub listener {
    my ($type, $port) = @_;
    my $s = open_socket(AF_INET6, $type);
    setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
    setsockopt($s, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    setsockopt($s, SOL_SOCKET, $RCVBUFFORCE, 4_000_000);
    bind($s, pack_sockaddr_in6($port, Socket::IN6ADDR_ANY)) or return;    # the guest's own server has it
    listen($s, 64) if $type == SOCK_STREAM;
    return $s;
}

# The listener: a child that answers for ever, and tells what it heard of flows when it is asked by SIGUSR1.
sub serve {
    my $wanted = shift;
    pipe(my $ready, my $is_ready);
    pipe($heard_pipe, my $tell);
    $child = fork() // die "fork: $!";
    if ($child) { close $is_ready; close $tell; <$ready>; return { ok => \1 } }
    close $heard_pipe;
    my $parent = getppid();
    my $select = IO::Select->new;
    my (%accepts, %datagrams);
    for (@{ $wanted->{tcp} || [] }) { my $s = listener(SOCK_STREAM, $_) or next; $accepts{$s} = 1; $select->add($s) }
    for (@{ $wanted->{udp} || [] }) { my $s = listener(SOCK_DGRAM, $_) or next; $datagrams{$s} = 1; $select->add($s) }
    my $asked = 0;
    $SIG{USR1} = sub { $asked = 1 };
    $SIG{PIPE} = 'IGNORE';
    syswrite $is_ready, "ready\n";
    while (1) {
        my @ready = $select->can_read(0.2);
        exit 0 if getppid() != $parent;
        for my $s (@ready) {
            if ($accepts{$s}) {
                while (accept(my $new, $s)) { $select->add(nonblocking($new)) }
            } elsif ($datagrams{$s}) {
                while (defined(my $from = recv($s, my $text, 65_536, 0))) {
                    if ($text =~ /^flow (\S+)/) {
                        $heard{$1}++;
                    }
                    send($s, $text, 0, $from);
                }
            } else {
                my $got = sysread($s, my $text, 65_536);
                if ($got) { syswrite $s, $text } elsif (defined $got || $! != EAGAIN) { $select->remove($s); close $s }
            }
        }
        if ($asked) { $asked = 0; syswrite $tell, encode_json(\%heard) . "\n"; %heard = () }
    }
}

sub checksum {
    my $bytes = shift;
    $bytes .= "\0" if length($bytes) % 2;
    my $sum = 0;
    $sum += $_ for unpack('n*', $bytes);
    $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
    return ~$sum & 0xffff;
}
# The address that this namespace sends from to there.
sub source_of {
    my $to = shift;
    my $s = open_socket(six($to) ? AF_INET6 : AF_INET, SOCK_DGRAM);
    connect($s, address($to, 9)) or return;
    my $name = getsockname($s);
    return six($to) ? (unpack_sockaddr_in6($name))[1] : (unpack_sockaddr_in($name))[1];
}
sub raw_tcp {
    my ($to, $from_port, $to_port, $flags) = @_;
    my $header = pack('nnNNCCnnn', $from_port, $to_port, 1000, 2000, 5 << 4, $flags, 1024, 0, 0);
    return $header if six($to);    # the kernel fills in the checksum (IPV6_CHECKSUM)
    my $source = source_of($to) or return;
    substr($header, 16, 2) = pack('n', checksum($source . inet_aton($to) . pack('CCn', 0, 6, length $header) . $header));
    return $header;
}

# One case: opens a socket and sends; returns {socket, read => what arrived -> outcome, again => send once more}.
sub begin {
    my $case = shift;
    my ($to, $protocol, $port) = @{$case}{qw(to protocol port)};
    my ($family, $id) = (six($to) ? AF_INET6 : AF_INET, $case->{id});
    my $bind = sub {
        my ($s, $sport) = @_;
        setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
        bind($s, six($to) ? pack_sockaddr_in6($sport, Socket::IN6ADDR_ANY) : pack_sockaddr_in($sport, INADDR_ANY)) or die "bind $sport: $!\n";
    };
    my $failed = sub {
        my $error = shift;
        return 'refused' if $error == ECONNREFUSED;
        return 'unreachable' if $error == EHOSTUNREACH || $error == ENETUNREACH;
        return "error $error";
    };
    if ($protocol eq 'tcp') {
        my $s = open_socket($family, SOCK_STREAM);
        $bind->($s, $case->{sport}) if $case->{sport};
        connect($s, address($to, $port)) or $!{EINPROGRESS} or $!{EPERM} or return $failed->($!);
        return { socket => $s, write => sub {
            my $error = unpack('i', getsockopt($s, SOL_SOCKET, SO_ERROR));
            return $failed->($error) if $error;
            return 'pass' unless $case->{echo};
            syswrite $s, "hello\n";
            return { socket => $s, read => sub { my $got = sysread($s, my $text, 99); return $got ? 'pass' : 'closed' } };
        } };
    }
    if ($protocol eq 'udp' || $protocol eq 'mtu') {
        my $s = open_socket($family, SOCK_DGRAM);
        $bind->($s, $case->{sport}) if $case->{sport};
        my ($level, $discover) = six($to) ? (IPPROTO_IPV6, 23) : (0, 10);
        setsockopt($s, $level, $discover, $protocol eq 'mtu' ? 2 : 0);
        connect($s, address($to, $port)) or return $failed->($!);
        # its own link takes this much: that it is too big was said by an error from farther on
        my $send = sub { return defined send($s, $id . 'x' x ($case->{bytes} || 0), 0) || !$!{EMSGSIZE} ? undef : 'pass' };
        my $known = $send->();
        return $known if $known;
        return { socket => $s, again => $send, read => sub {
            defined recv($s, my $text, 65_536, 0) and return $protocol eq 'mtu' ? 'whole' : 'pass';
            return $!{EAGAIN} ? undef : $!{EMSGSIZE} ? 'pass' : $failed->($!);
        } };
    }
    my $mark = ($$ * 31 + $case->{number}) & 0xffff;
    if ($protocol =~ /^icmp/) {
        my $s = open_socket($family, SOCK_RAW, six($to) ? 58 : 1);
        my $tail = "\0" x 16;
        my $packet = pack('CCnnn', $port, $case->{code} || 0, 0, $mark, 1) . $tail;
        # an error that nothing here has caused: it quotes a datagram that was never sent
        $packet = pack('CCnN', $port, $case->{code} || 0, 0, 0) . (six($to) ? pack('NnCC', 0x60000000, 8, 17, 64) . inet_pton(AF_INET6, $to) . source_of($to) : pack('CCnnnCCn', 0x45, 0, 28, 1, 0, 64, 17, 0) . inet_aton($to) . source_of($to)) . pack('nnnn', 40_001, 40_002, 8, 0) if $case->{quote};
        substr($packet, 2, 2) = pack('n', checksum($packet)) unless six($to);
        my $send = sub { send($s, $packet, 0, address($to, 0)); return undef };
        $send->();
        my $answers = { 8 => 0, 128 => 129, 13 => 14, 17 => 18 }->{$port};
        return { socket => $s, again => $send, read => sub {
            my $from = recv($s, my $got, 65_536, 0) // return undef;
            $got = substr($got, 4 * (ord($got) & 15)) unless six($to);
            my ($type, undef, undef, $identifier) = unpack('CCnn', $got);
            return defined $answers && $type == $answers && $identifier == $mark ? 'pass' : undef;
        } };
    }
    if ($protocol =~ /^tcp-(ack|syn-ack|rst)$/) {    # as if it belonged to a connection
        my $s = open_socket($family, SOCK_RAW, 6);
        setsockopt($s, IPPROTO_IPV6, 7, pack('i', 16)) if six($to);
        my ($sport, $flags) = ($case->{sport} || 40_000, { ack => 16, 'syn-ack' => 18, rst => 4 }->{$1});
        my $send = sub { send($s, raw_tcp($to, $sport, $port, $flags), 0, address($to, 0)); return undef };
        $send->();
        return { socket => $s, again => $send, read => sub {
            my $from = recv($s, my $got, 65_536, 0) // return undef;
            $got = substr($got, 4 * (ord($got) & 15)) unless six($to);
            my ($from_port, $to_port, undef, undef, undef, $back) = unpack('nnNNCC', $got);
            return $from_port == $port && $to_port == $sport && $back & 4 ? 'pass' : undef;
        } };
    }
    if ($protocol =~ /^\d+$/) {    # a protocol that nobody speaks: who gets it says so
        my $s = open_socket($family, SOCK_RAW, $protocol);
        my $errors = open_socket($family, SOCK_RAW, six($to) ? 58 : 1);
        my $send = sub { send($s, $id, 0, address($to, 0)); return undef };
        $send->();
        return { socket => $errors, keep => $s, again => $send, read => sub {
            my $from = recv($errors, my $got, 65_536, 0) // return undef;
            $got = substr($got, 4 * (ord($got) & 15)) unless six($to);
            my ($type, $code) = unpack('CC', $got);
            return (six($to) ? $type == 4 && $code == 1 : $type == 3 && $code == 2) && index($got, $id) >= 0 ? 'pass' : undef;
        } };
    }
    die "no protocol $protocol\n";
}

sub cases {
    my ($cases, $seconds) = @_;
    my (%outcome, @open);
    my $number = 0;
    for my $case (@$cases) {
        $case->{number} = $number++;
        my $begun = eval { begin($case) } // "fault $@";
        if (ref $begun) { push @open, [$case->{id}, $begun] } else { $outcome{ $case->{id} } = $begun }
    }
    my ($end, $again) = (time + $seconds, time + 0.4);
    while (@open && time < $end) {
        my ($reads, $writes) = (IO::Select->new, IO::Select->new);
        $_->[1]{read} ? $reads->add($_->[1]{socket}) : $writes->add($_->[1]{socket}) for @open;
        my @found = IO::Select->select($reads, $writes, undef, 0.1);
        my %ready = map { $_ => 1 } map { @{ $_ || [] } } @found[0, 1];
        my @left;
        for my $one (@open) {
            my ($id, $state) = @$one;
            if (!$ready{ $state->{socket} }) { push @left, $one; next }
            my $answer = ($state->{read} || $state->{write})->();
            if (!defined $answer) { push @left, $one }
            elsif (ref $answer) { push @left, [$id, $answer] }
            else { $outcome{$id} = $answer }
        }
        @open = @left;
        next if time < $again;
        $again = time + 0.4;
        @open = grep {
            my $answer = $_->[1]{again} && $_->[1]{again}->();
            $outcome{ $_->[0] } = $answer if $answer;
            !$answer;
        } @open;
    }
    $outcome{ $_->[0] } = 'drop' for @open;
    return \%outcome;
}

sub flows {
    my ($flows, $every) = @_;
    my %counts;
    for my $flow (@$flows) {
        my $s = $flow->{socket} = open_socket(six($flow->{to}) ? AF_INET6 : AF_INET, SOCK_DGRAM);
        connect($s, address($flow->{to}, $flow->{port})) or die "flow to $flow->{to}: $!\n";
        $counts{ $flow->{id} } = { sent => 0, answered => 0, refused => 0 };
    }
    my $input = IO::Select->new(\*STDIN);
    print encode_json({ ok => \1 }), "\n";
    my $hear = sub {
        for my $flow (@$flows) {
            my $count = $counts{ $flow->{id} };
            while (1) {
                if (defined recv($flow->{socket}, my $text, 99, 0)) { $count->{answered}++ }
                elsif ($!{ECONNREFUSED}) { $count->{refused}++ }
                else { last }
            }
        }
    };
    until ($input->can_read(0)) {
        for my $flow (@$flows) {
            my $count = $counts{ $flow->{id} };
            if (defined send($flow->{socket}, "flow $flow->{id} $count->{sent}", 0)) { $count->{sent}++ }
            elsif ($!{ECONNREFUSED}) { $count->{refused}++ }
        }
        $hear->();
        sleep($every);
    }
    my ($answers, $end) = (IO::Select->new(map { $_->{socket} } @$flows), time + 3);
    $hear->() while time < $end && $answers->can_read(0.3);
    return \%counts;
}

sub index_of {
    my ($s, $device) = @_;
    my $request = pack('a16 x16', $device);
    ioctl($s, 0x8933, $request) or die "no device $device: $!\n";
    return unpack('x16 i', $request);
}
sub link_address { my ($index) = @_; return pack('S n i S C C a8', 17, 3, $index, 0, 0, 6, '') }
sub frames {
    my ($frames, $device) = @_;
    socket(my $s, 17, SOCK_RAW, 0) or die "packet socket: $!";
    my $to = link_address(index_of($s, $device));
    for (@$frames) { send($s, pack('H*', $_), 0, $to) // die "frame $_: $!"; sleep(0.002) }
    return { sent => scalar @$frames };
}
sub capture {
    @captures = map {
        my $s = open_socket(17, SOCK_RAW, unpack('n', pack('S', 3)));
        setsockopt($s, SOL_SOCKET, $RCVBUFFORCE, 16_000_000);
        bind($s, link_address($_ eq '*' ? 0 : index_of($s, $_))) or die "bind $_: $!";
        [$_, $s];
    } @{ $_[0] };
    return { ok => \1 };
}
sub captured {
    my @seen;
    for (@captures) {
        my ($device, $s) = @$_;
        while (defined(my $from = recv($s, my $frame, 65_536, 0))) {
            push @seen, [$device, unpack('x10 C', $from), unpack('H*', $frame)];
        }
    }
    @captures = ();
    return \@seen;
}

while (defined(my $line = <STDIN>)) {
    my $order = decode_json($line);
    my $answer = eval {
        return serve($order->{serve}) if $order->{serve};
        return cases($order->{cases}, $order->{seconds} || 1.5) if $order->{cases};
        return flows($order->{flows}, $order->{every} || 0.003) if $order->{flows};
        if ($order->{heard}) { kill 'USR1', $child; return decode_json(scalar <$heard_pipe>) }
        return frames($order->{frames}, $order->{device} || 'eth0') if $order->{frames};
        return capture($order->{capture}) if $order->{capture};
        return captured() if $order->{captured};
        return { ok => \1 };
    } // { fault => "$@" };
    print encode_json(ref $answer eq 'ARRAY' ? { frames => $answer } : $answer), "\n";
}
if ($child) { kill 'TERM', $child; waitpid $child, 0 }    # its ports are free when this has ended
