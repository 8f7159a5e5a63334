#!/usr/bin/perl
# spare.pl: waits for a command line on its standard input (8 hex digits: how many bytes follow; the arguments, each
# with a NUL behind it) and becomes that tool, whose standard input is what comes after it. Ends when none comes.
use strict; use warnings;
sub take {
  my ($length) = @_;
  my $bytes = '';
  while (length $bytes < $length) {
    sysread(STDIN, $bytes, $length - length $bytes, length $bytes) or exit 125;
  }
  return $bytes;
}
my @argv = split /\0/, take(hex take(8)), -1;
pop @argv;
exec { $argv[0] } @argv or do { print STDERR "$argv[0]: $!\n"; exit 127 };
