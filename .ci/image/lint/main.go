// Command lint runs BuildKit's own checks ("docker build --check") over Dockerfiles, without an
// engine and without a registry: it exits with 1 if there is anything to complain of.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

var platform = ocispecs.Platform{OS: "linux", Architecture: "amd64"}

// offline answers for every image that a Dockerfile begins from with an empty one.
type offline struct{}

// ResolveImageConfig is BuildKit's question to a registry.
func (offline) ResolveImageConfig(_ context.Context, name string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config, err := json.Marshal(ocispecs.Image{Platform: platform})
	return name, digest.FromString(name), config, err
}

// check returns what BuildKit has to say of a Dockerfile.
func check(ctx context.Context, path string) (complaints []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	source := llb.NewSourceMap(nil, path, "Dockerfile", text)
	if source.Definition, err = llb.Scratch().Marshal(ctx); err != nil { // it panics without one
		return nil, err
	}
	capabilities := pb.Caps.CapSet(pb.Caps.All())
	found, err := dockerfile2llb.DockerfileLint(ctx, text, dockerfile2llb.ConvertOpt{
		Config:    dockerui.Config{BuildPlatforms: []ocispecs.Platform{platform}},
		SourceMap: source, TargetPlatform: &platform, MetaResolver: offline{}, LLBCaps: &capabilities,
	})
	if err != nil {
		return nil, err
	}
	if found.Error != nil {
		complaints = append(complaints, path+": "+found.Error.Message)
	}
	for _, w := range found.Warnings {
		var line int32
		if ranges := w.Location.GetRanges(); len(ranges) > 0 {
			line = ranges[0].Start.Line
		}
		complaints = append(complaints, fmt.Sprintf("%s:%d: %s: %s", path, line, w.RuleName, w.Detail))
	}
	return complaints, nil
}

func main() {
	ended := 0
	for _, path := range os.Args[1:] {
		complaints, err := check(context.Background(), path)
		if err != nil {
			complaints = []string{fmt.Sprintf("%s: %v", path, err)}
		}
		for _, c := range complaints {
			fmt.Println(c)
			ended = 1
		}
	}
	os.Exit(ended)
}
