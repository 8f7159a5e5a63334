#!/usr/bin/perl
# rsync's --rsh: carries its stdin and stdout to and from descriptor 3, which the transfer service holds. So rsync speaks through
# a stream that no other user can reach, and no shell and no value is involved. Its arguments are ignored.
use strict;
use warnings;

open(my $wire, '+<&=', 3) or die "rsync-wire: descriptor 3 is not open: $!\n";
for my $handle (*STDIN, *STDOUT, $wire) {    # rsync hands over a stdout that does not block
    my $flags = fcntl($handle, 3, 0);        # F_GETFL
    fcntl($handle, 4, $flags & ~2048);       # F_SETFL without O_NONBLOCK
}

sub carry {
    my ($from, $to) = @_;
    my $bytes;
    my $lost = 0;    # what nobody takes any more is read all the same, so that rsync comes to the words about why
    while (sysread($from, $bytes, 262144)) {
        my $done = 0;
        while (!$lost && $done < length $bytes) {
            my $now = syswrite($to, $bytes, length($bytes) - $done, $done);
            defined $now ? ($done += $now) : ($lost = 1);
        }
    }
}

$SIG{PIPE} = 'IGNORE';
my $pid = fork() // die "rsync-wire: fork: $!\n";
if ($pid == 0) {
    carry(\*STDIN, $wire);
    shutdown($wire, 1);
    exit 0;
}
carry($wire, \*STDOUT);
kill 'KILL', $pid;    # rsync waits for this process, not for the end of what it reads
waitpid($pid, 0);

# The other side has ended. While rsync is still writing it has not read why: it must not fail by a broken pipe before.
close STDOUT;
while (1) {
    my $ready = '';
    vec($ready, fileno(STDIN), 1) = 1;
    last unless select($ready, undef, undef, 0.02);
    last unless sysread(STDIN, my $ignored, 262144);
}
exit 0;
