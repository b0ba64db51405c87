package machinetest

import (
	"os"
	"strings"
)

// UnsetSettings unsets every CIJEPA_ variable. The program refuses a variable that is no setting,
// and continuous integration sets some for the tests themselves.
func UnsetSettings() {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "CIJEPA_") {
			os.Unsetenv(name)
		}
	}
}
