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
# the vserver answers before its systemd takes commands
for try in $(seq 300); do systemctl list-units > /dev/null 2>&1 && break; sleep 0.1; done
systemctl enable --now hello.service
