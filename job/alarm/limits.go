package alarm

// Limits that a healthy run does not reach. They are wide: an alarm means that something is broken,
// not that a run does badly. The figures in the comments were measured on the demonstration,
// healthy or broken on purpose; a network of full size has not been measured yet.
const (
	// minStd of a feature over images. A healthy one is 0.3 to 1, and 0.40 at least in the
	// demonstration. With 25 times the learning rate it falls to 0.02. With a teacher that is the
	// student (momentum 0) it fell to 0.05 in one run and did not collapse in another: the limit
	// sees the collapse, not the fault.
	minStd = 0.2

	// minRank is little more than 1, the effective rank of features that lie in one direction. It
	// cannot be higher: a small healthy network has 2.5 after an epoch, and the same network
	// collapsed has 3.8, because its features differ by little, but in all directions. For networks
	// that have a rank to lose, maxRankFall limits the factor from the best rank after the warm-up.
	minRank     = 1.3
	maxRankFall = 3

	// maxRMS of the residual stream: it begins at 0.25 and ends at 12, and is 550 to 1,060 after an
	// epoch with 25 times the learning rate. maxRMSGrowth is the factor from one epoch's end to the
	// next, after the warm-up; in the first epoch a healthy one grows 40 times.
	maxRMS       = 100
	maxRMSGrowth = 10

	// pathwayDeviations are standard deviations of the binomial distribution. By chance one reading
	// in two million is beyond 5. A run of the table takes a thousand readings of 10 pathways, and
	// neighbouring ones hardly differ. A pathway of a 20 % share that is never sampled is found
	// after 100 updates, one that is sampled by 1 % too often after 40,000.
	pathwayDeviations = 5

	// maxMSE is what a prediction of zero scores on a normalised target. A new head scores 1.15 at
	// full size.
	maxMSE = 1

	// maxSkips is how many of the last skipWindow updates may be skipped because a gradient was not
	// finite. A healthy run skips none.
	maxSkips   = 2
	skipWindow = 100

	// maxFallErrors is the fall of top-1 in standard errors of the difference of two scores on
	// different images: 6.6 points from 60 % on 1,000 images. The images are the same, so chance
	// does less than that.
	maxFallErrors = 3

	// minUpdates is the least number of updates after which the warm-up counts as over, however
	// short it is: before that a network has learnt nothing that it could lose.
	minUpdates = 100

	// hysteresis is the distance from its limit, as a share of the limit, at which a value is good
	// again. A value that sways about its limit fires once.
	hysteresis = 0.05
)

// MaxSkipped is how many updates in a row may be skipped before the run ends: by then it is no
// accident.
const MaxSkipped = 20
