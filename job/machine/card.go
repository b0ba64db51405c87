package machine

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/settings"
)

// Card is a GPU of this machine, as nvidia-smi describes it.
type Card struct {
	Name   string
	Memory float64 // bytes
	Driver string  // its version
}

// FirstCard returns the first card that nvidia-smi prints, or nil where it finds none.
func FirstCard(ctx context.Context, nvidiaSMI func(context.Context) ([]byte, error)) *Card {
	text, err := nvidiaSMI(ctx)
	if err != nil {
		return nil
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	fields := strings.Split(string(first), ",")
	var size settings.Bytes
	if len(fields) != 3 || size.Decode(strings.TrimSpace(fields[1])) != nil || size == 0 {
		return nil
	}
	return &Card{strings.TrimSpace(fields[0]), float64(size), strings.TrimSpace(fields[2])}
}

// NvidiaSMI prints name, memory and driver of each card, one card a line.
func NvidiaSMI(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	query := []string{"--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"}
	return exec.CommandContext(ctx, "nvidia-smi", query...).Output()
}
