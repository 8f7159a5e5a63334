# The TCP service of the demo and the bench: run inside a Debian vserver. perl-base is in every Debian.
set -e
cat > /usr/local/bin/hello <<'END'
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalPort => 80, Listen => 64, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) { print $client "hello\n"; close $client }
END
cat > /etc/systemd/system/hello.service <<'END'
[Service]
ExecStart=/usr/bin/perl /usr/local/bin/hello
Restart=always
[Install]
WantedBy=multi-user.target
END
systemctl enable --now hello.service
