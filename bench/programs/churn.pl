# Hashes, arrays and strings that come and go; deterministic.
use strict;
my $seed = 7;
sub rnd { $seed = ($seed * 1103515245 + 12345) & 0x7fffffff; return ($seed >> 8) % $_[0] }
my ($total, %index) = (0);
for my $turn (1 .. 9) {
    my @rows = map { { id => $_, name => "n" . rnd(5000), tags => [rnd(9), "t" x rnd(80)] } } 1 .. 9000;
    for my $row (sort { $a->{name} cmp $b->{name} } @rows) {
        push @{ $index{ substr $row->{name}, 0, 3 } }, join ",", @{ $row->{tags} };
    }
    my $text = join "\n", map { join ":", $_->{name}, @{ $_->{tags} } } @rows;
    $total += length for split /\n/, $text;
    delete $index{$_} for grep { rnd(2) } sort keys %index;
}
print "$total ", scalar(keys %index), "\n";
