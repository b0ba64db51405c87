package job

// openBoard begins TensorBoard's files of this attempt.
func (j *Job) openBoard(at position) {
	b := &j.journal.board
	b.Describe(j.cfg.Run, j.cfg.Depths, j.cfg.Recipe.Hyperparameters())
	b.Resume(at.phase, at.step, at.progress.Table)
}
