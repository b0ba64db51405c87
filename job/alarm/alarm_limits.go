package alarm

// Limits of what is healthy. They are wide: an alarm is to mean that something is broken, not that a run does badly. The
// figures in the comments are the demonstration's, ended healthy or broken on purpose; a network of full size has not
// been measured yet.
const (
	// leastDeviation of a feature over images. A healthy one is 0.3 to 1, and 0.40 at least in the demonstration, which
	// falls to 0.02 with 25 times its learning rate. With a teacher that is the student (momentum 0) it fell to 0.05 in
	// one run and did not collapse in another: this figure sees the collapse, not the fault.
	leastDeviation = 0.2

	// leastRank is little more than the one direction that is left at the end. It cannot be higher: the effective rank of a small healthy
	// network is 2.5 after an epoch, and less than that of the same network collapsed (3.8), whose features differ by little, but in
	// all directions. mostRankFall is for networks that have a rank to lose: from the best after the warm-up.
	leastRank    = 1.3
	mostRankFall = 3

	// mostRMS of the residual stream: it begins at 0.25 and ends at 12, and is 550 to 1,060 after an epoch with 25 times the
	// learning rate. mostGrowth is that between the ends of two epochs after the warm-up; in the first epoch a healthy
	// one grows 40 times.
	mostRMS    = 100
	mostGrowth = 10

	// pathwayDeviations are standard deviations of the binomial distribution. Beyond 5 there is by chance one look in two
	// million; a run of the table looks at 10 pathways a thousand times, and the counts of neighbouring looks hardly differ. A pathway
	// of a 20 % share that is never sampled shows after 100 updates, one that is sampled by 1 % too often after 40,000.
	pathwayDeviations = 5

	// mostMSE is what a prediction of zero scores on a normalised target; a new head scores 1.15 at full size.
	mostMSE = 1

	// Of the last skipWindow updates so many without a finite gradient are no accident: in a healthy run there are none.
	mostSkips  = 2
	skipWindow = 100

	// fallErrors are standard errors of the difference of two scores, as if they were of different images: a fall of 6.6
	// points from 60 % on 1,000 images. They are the same images, so chance does less than that.
	fallErrors = 3

	// settledAfter is the least number of updates after which a run counts as warmed up, however short its warm-up is:
	// before that a network has learnt nothing that it could lose.
	settledAfter = 100

	// wellAgain is the share of its limit that a figure must keep away from it for a state that rang to be over, so that
	// one that sways about its limit rings once.
	wellAgain = 0.05
)

// MaxSkipped is how many updates in a row may be skipped for a gradient that is not finite: by then it is no accident.
const MaxSkipped = 20
