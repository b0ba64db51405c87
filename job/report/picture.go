package report

import (
	"fmt"
	"io"
)

// TablePicture draws a table of errors by source and target depth as PNG. All tables of a run are on one scale: dark blue at 0,
// yellow at 1, which is what predicting zero scores, and beyond.
func TablePicture(w io.Writer, depths []int, table [][]*float64, title string) error {
	h := heatMap{RowName: "source", ColName: "target", High: 1, newest: table}
	for _, d := range depths {
		h.Columns = append(h.Columns, fmt.Sprint(d))
	}
	h.Rows = h.Columns
	return h.PNG(w, title)
}
