# Scores or learns messages with Mail::SpamAssassin: perl spamassassin.pl score|learn STATE BAYES RECEIVED < "ham|spam PATH"
# lines. Prints a score for each message, and 1 if what was learnt had a part in it, else 0.
#
# RECEIVED is the field that our own server would have written, without its date: that of the field above which it stands,
# for a date of today would make all of this mail late.
use strict;
use warnings;
use Mail::SpamAssassin;

my ($do, $state, $bayes, $received) = @ARGV;
my $sa = Mail::SpamAssassin->new({
    dont_copy_prefs => 1, local_tests_only => 1, userstate_dir => $state, username => 'corpus',
    post_config_text => "use_bayes " . ($bayes eq 'true' ? 1 : 0) . "\nbayes_auto_learn 0\nbayes_path $state/bayes\nlock_method flock\n"
        . "dns_available no\ntrusted_networks 198.51.100.1\ninternal_networks 198.51.100.1\n",
});
$sa->init(1);
$sa->init_learner({ learn_to_journal => 0, wait_for_lock => 1 }) if $do eq 'learn';
while (my $line = <STDIN>) {
    chomp $line;
    my ($kind, $path) = split / /, $line, 2;
    open(my $in, '<:raw', $path) or die "$path: $!";
    my $text = do { local $/; <$in> };
    close $in;
    my ($head) = $text =~ /\A(.*?)\r?\n\r?\n/s;
    my $date = '';
    if (($head // '') =~ /^Received:(.*?)(?=\r?\n\S|\z)/msi) { ($date) = $1 =~ /.*;\s*(.*?)\s*\z/s; }
    if (!$date && ($head // '') =~ /^Date:\s*(.*?)\s*$/mi) { $date = $1; }
    $text = "Return-Path: <bounce\@sender.example>\r\n$received; " . ($date // '') . "\r\n$text";
    my $mail = $sa->parse(\$text, 1);
    if ($do eq 'learn') {
        $sa->learn($mail, undef, $kind eq 'spam' ? 1 : 0, 0)->finish();
    } else {
        my $status = $sa->check($mail);
        print $status->get_score(), ' ', ($status->get_names_of_tests_hit() =~ /\bBAYES_/ ? 1 : 0), "\n";
        $status->finish();
    }
    $mail->finish();
}
if ($do eq 'learn') { $sa->rebuild_learner_caches(); $sa->finish_learner(); }
$sa->finish();
