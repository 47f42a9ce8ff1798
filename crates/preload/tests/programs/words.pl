# Hashes, arrays, regular expressions and sorts: perl's many small blocks and its growing strings.
use strict;
use warnings;

my ($seed, %count, @kept) = (42);
sub next_number { return $seed = ($seed * 1103515245 + 12345) & 0x7fffffff }

my $text = '';
$text .= join('', map { chr(97 + next_number() / 65536 % 26) } 1 .. 3 + $_ % 7) . ' ' for 1 .. 120000;
$count{$1}++ while $text =~ /(\w+)/g;
my @order = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
printf "%d words, %d different\n", scalar(split ' ', $text), scalar @order;
print "$_ $count{$_}\n" for @order[0 .. 20];
for my $round (1 .. 30) {
    my %deep = map { $_ => [ map { { n => $_ } } 1 .. $_ % 13 ] } 1 .. 4000;
    push @kept, $deep{ $round * 13 + 12 };
}
print scalar(map { @$_ } @kept), "\n";
my $long = 'ab' x 2_000_000;
(my $changed = $long) =~ s/a(b)/$1-/g;
print length($changed), ' ', unpack('%32C*', $changed), "\n";
