package job

import (
	"testing"
	"testing/fstest"
)

// TestNVIDIA reads what drivers print.
func TestNVIDIA(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	open := "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder@U16-I3)  Thu Jan 23 22:50:36 UTC 2025\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
	closed := "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\nGCC version:  gcc version 11.4.0\n"
	card := func(name string) *fstest.MapFile {
		return file("Model: \t\t " + name + "\nIRQ:   \t\t 74\nGPU UUID: \t GPU-1\nVideo BIOS: \t 96.00.68.00.01\n")
	}
	for _, c := range []struct {
		proc          fstest.MapFS
		driver, cards string
	}{
		{fstest.MapFS{}, "", ""},
		{fstest.MapFS{"version": file("something else\n")}, "", ""},
		{fstest.MapFS{"version": file(closed)}, "535.129.03", ""},
		{fstest.MapFS{"version": file(open), "gpus/0000:00:04.0/information": card("NVIDIA H100 80GB HBM3"), "gpus/0000:00:05.0/information": card("NVIDIA H100 80GB HBM3")}, "570.86.15", "NVIDIA H100 80GB HBM3"},
	} {
		if driver, cards := nvidia(c.proc); driver != c.driver || cards != c.cards {
			t.Errorf("driver %q, cards %q; want %q, %q", driver, cards, c.driver, c.cards)
		}
	}
}
