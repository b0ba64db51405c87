//go:build cgo

package model

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/model/mask"
)

// census counts what a program in StableHLO consists of.
type census struct {
	products   map[string]int // by the types of operands and result
	flops      float64        // of products, 2 a multiplication
	attention  float64        // of attention inside calls of the device's own, forward and backward
	calls      map[string]int // of the device's own, by name
	transposes []string       // operands and results of real ones, without what a call of the device's own returns
	scatters   int
	inputs     int
	outputs    int
}

var (
	statementForm = regexp.MustCompile(`(?m)^    (%\d+(?:, %\d+)*)(?::\d+)? = `)
	valueForm     = regexp.MustCompile(`%\d+`)
	productForm   = regexp.MustCompile(`(?s)"stablehlo\.dot_general"\(%\w+, %\w+\) \{(.*?)\} : \(tensor<([^>]*)>, tensor<([^>]*)>\) -> tensor<([^>]*)>`)
	contractForm  = regexp.MustCompile(`lhs_contracting_dimensions = \[([^\]]*)\]`)
	transposeForm = regexp.MustCompile(`"stablehlo\.transpose"\((%\d+)\) \{ permutation = array<i64: ([^>]*)> \} : \(tensor<([^>]*)>\) -> tensor<([^>]*)>`)
	resultsForm   = regexp.MustCompile(`(%\d+(?:, %\d+)*)(?::\d+)? = "stablehlo\.custom_call"`)
	roundForm     = regexp.MustCompile(`"stablehlo\.convert"\((%\d+)\) : \(tensor<(\w+)xf32>\) -> tensor<\w+xbf16>`)
	barrierForm   = regexp.MustCompile(`"stablehlo\.optimization_barrier"\((%\d+)\) : \(tensor<(\w+)>\)`)
	callForm      = regexp.MustCompile(`(?s)"stablehlo\.custom_call"\([^)]*\) \{.*?call_target_name = "([^"]*)".*?\} : \(tensor<([^>]*)>, tensor<([^>]*)>`)
)

// tensorType parses "8x196x768xbf16".
func tensorType(t *testing.T, text string) (dims []int, element string) {
	t.Helper()
	parts := strings.Split(text, "x")
	for _, part := range parts[:len(parts)-1] {
		n, err := strconv.Atoi(part)
		if err != nil {
			t.Fatalf("the type %s: %v", text, err)
		}
		dims = append(dims, n)
	}
	return dims, parts[len(parts)-1]
}

func product(dims []int) float64 {
	n := 1.0
	for _, d := range dims {
		n *= float64(d)
	}
	return n
}

// live is a program without dead code, which the compiler drops first. GoMLX leaves much of it,
// above all the plain form of attention beside every call.
func live(program string) string {
	begins := append(statementForm.FindAllStringSubmatchIndex(program, -1), []int{len(program)})
	result := strings.LastIndex(program, "return")
	needed := map[string]bool{}
	need := func(text string) {
		for _, name := range valueForm.FindAllString(text, -1) {
			needed[name] = true
		}
	}
	need(program[result:])
	kept := []string{program[:begins[0][0]]}
	for i := len(begins) - 2; i >= 0; i-- {
		statement := program[begins[i][0]:min(begins[i+1][0], result)]
		names := strings.Split(program[begins[i][2]:begins[i][3]], ", ")
		if slices.ContainsFunc(names, func(name string) bool { return needed[name] }) {
			need(statement)
			kept = append(kept, statement)
		}
	}
	return strings.Join(kept, "")
}

func takeCensus(t *testing.T, program string) census {
	t.Helper()
	program = live(program)
	c := census{products: map[string]int{}, calls: map[string]int{}}
	for _, m := range productForm.FindAllStringSubmatch(program, -1) {
		left, leftType := tensorType(t, m[2])
		_, rightType := tensorType(t, m[3])
		out, outType := tensorType(t, m[4])
		c.products[leftType+" x "+rightType+" -> "+outType]++
		flops := 2 * product(out)
		for axis := range strings.SplitSeq(contractForm.FindStringSubmatch(m[1])[1], ",") {
			i, err := strconv.Atoi(strings.TrimSpace(axis))
			if err != nil {
				t.Fatalf("a product that contracts %q", axis)
			}
			flops *= float64(left[i])
		}
		c.flops += flops
	}
	for _, m := range callForm.FindAllStringSubmatch(program, -1) {
		c.calls[m[1]]++
		q, _ := tensorType(t, m[2]) // [B, S, H, A]
		k, _ := tensorType(t, m[3])
		flops := 4 * product(q) * float64(k[1]) // scores and their product with the values
		if strings.Contains(m[1], "Backward") {
			flops *= 2
		}
		c.attention += flops
	}
	returned := map[string]bool{}
	for _, m := range resultsForm.FindAllStringSubmatch(program, -1) {
		for name := range strings.SplitSeq(m[1], ", ") {
			returned[name] = true
		}
	}
	for _, m := range transposeForm.FindAllStringSubmatch(program, -1) {
		if m[3] != m[4] && !returned[m[1]] {
			c.transposes = append(c.transposes, m[3]+" -> "+m[4])
		}
	}
	head := program[strings.Index(program, "@main("):]
	arrow, end := strings.Index(head, "->"), strings.Index(head, "\n")
	c.inputs, c.outputs = strings.Count(head[:arrow], "tensor<"), strings.Count(head[arrow:end], "tensor<")
	c.scatters = strings.Count(program, "scatter\"")
	return c
}

// buildPlugin builds the plugin that computes nothing, under a name that GoMLX takes for CUDA's.
// The plugin writes programs to the folder that is returned.
func buildPlugin(t *testing.T) (path, folder string) {
	t.Helper()
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		t.Skipf("no C compiler: %v", err)
	}
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gomlx/go-xla").Output()
	if err != nil {
		t.Skipf("no folder of go-xla's header: %v", err)
	}
	folder = t.TempDir()
	path = filepath.Join(folder, "pjrt_c_api_cuda_plugin.so")
	build := exec.Command(compiler, "-O1", "-shared", "-fPIC", "-o", path, "-I", filepath.Join(strings.TrimSpace(string(module)), "pjrt"),
		filepath.Join("testdata", "compiler.c"))
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, output)
	}
	return path, folder
}

// openPlugin opens a device on a plugin.
func openPlugin(t *testing.T, path string, o DeviceOptions) *Device {
	t.Helper()
	d, err := o.Open("xla:" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// gpuPrograms compiles the step of every shape for a device that poses as CUDA, and returns the
// programs' texts.
func gpuPrograms(t *testing.T, c Config, shapes []mask.Shape) (programs []string) {
	t.Helper()
	path, folder := buildPlugin(t)
	t.Setenv("PLUGIN_PROGRAMS", folder)
	d := openPlugin(t, path, DeviceOptions{})
	p, err := newPrograms(newNetwork(c, d), d)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shapes {
		if err := p.compile(programShape{context: s.Context, target: s.Target, blocks: c.Masks.TargetBlocks}); err != nil {
			t.Fatal(err)
		}
	}
	attentions := len(shapes) * (2*c.Depth + c.Slots()*c.PredictorDepth)
	if !c.Fused(d.name) {
		attentions = 0
	}
	if got := p.inspection.FusedAttention; got != attentions {
		t.Errorf("the programs tell of %d fused attentions, want %d", got, attentions)
	}
	written, err := filepath.Glob(filepath.Join(folder, "*.mlir"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(written)
	for _, path := range written {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, string(text))
	}
	want := len(shapes)
	if p.gradExec != nil {
		want++ // the update, behind the first gradient
	}
	if len(programs) != want {
		t.Fatalf("%d programs for %d shapes", len(programs), len(shapes))
	}
	return programs
}

// mostBuffers bounds the buffers of a call: each costs time of the host in which the device waits.
const mostBuffers = 260

// The step of ViT-B/16 builds for a GPU as four programs. All products are bf16, attention is one
// call for each block, nothing but patches is transposed, and the FLOPs are those of the formula.
func TestStepOfViTBTakesTheFastForms(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short: four programs of four megabytes")
	}
	c := vitB()
	m, err := c.Masker()
	if err != nil {
		t.Fatal(err)
	}
	shapes := m.Shapes()
	var mean, probability float64
	for i, program := range gpuPrograms(t, c, shapes) {
		s, got := shapes[i], takeCensus(t, program)
		for types, n := range got.products {
			if types != "bf16 x bf16 -> bf16" {
				t.Errorf("targets of %d: %d products %s", s.Target, n, types)
			}
		}
		blocks := c.Slots() * c.PredictorDepth
		if want := map[string]int{"__cudnn$fmhaSoftmax": 2*c.Depth + blocks, "__cudnn$fmhaSoftmaxBackward": c.Depth + blocks}; fmt.Sprint(got.calls) != fmt.Sprint(want) {
			t.Errorf("targets of %d: calls %v, want %v", s.Target, got.calls, want)
		}
		if got.scatters != 0 {
			t.Errorf("targets of %d: %d scatters", s.Target, got.scatters)
		}
		if got.inputs > mostBuffers || got.outputs > mostBuffers {
			t.Errorf("targets of %d: %d inputs and %d outputs, want at most %d", s.Target, got.inputs, got.outputs, mostBuffers)
		}
		activations := 0
		for _, transposed := range got.transposes {
			// Weights and their gradients are put into the order of the pairs and back: axes of 2.
			if !strings.Contains(transposed, "x2x") {
				activations++
			}
		}
		if activations != 1 {
			t.Errorf("targets of %d: transposes %v, want one of activations: of the patches", s.Target, got.transposes)
		}
		image := (got.flops + got.attention) / float64(c.Batch)
		t.Logf("targets of %d, contexts of %d: %d characters, %d inputs, products %v, calls %v, %d transposes of activations, %.1f GFLOP an image",
			s.Target, s.Context, len(program), got.inputs, got.products, got.calls, activations, image/1e9)
		if want := c.FLOPs(s); math.Abs(image/want-1) > 1e-9 {
			t.Errorf("targets of %d: %.6g operations an image in the program, %.6g by the sizes", s.Target, image, want)
		}
		mean, probability = mean+s.Probability*image, probability+s.Probability
	}

	// The usual count, 135 GFLOP an image, runs every block of a predictor on all its tokens. Here
	// the first one computes queries, keys and values once for all target blocks, and the last one
	// nothing after its attention for context tokens.
	const documented = 135e9
	var left float64
	for _, s := range shapes {
		square := float64(c.PredictorWidth * c.PredictorWidth)
		first := float64(c.Masks.TargetBlocks*(s.Context+s.Target)-s.Context-1) * 6 * square
		last := float64(c.Masks.TargetBlocks*s.Context) * float64(2+4*c.MLPRatio) * square
		left += s.Probability * 3 * float64(c.Slots()) * (first + last) // forward and twice backward
	}
	t.Logf("%.1f GFLOP an image on average, %.1f with what the first and last blocks leave out", mean/1e9, (mean+left)/1e9)
	if math.Abs(probability-1) > 1e-9 {
		t.Errorf("the probabilities of the shapes sum to %g", probability)
	}
	if full := mean + left; math.Abs(full/documented-1) > 0.03 {
		t.Errorf("%.4g operations an image, want %.4g", full, documented)
	}
}

// Plain attention has no call of the device's own, and its products are bf16 too.
func TestPlainAttentionCallsNothing(t *testing.T) {
	c := vitB()
	c.PlainAttention = true
	got := takeCensus(t, gpuPrograms(t, c, []mask.Shape{{Target: 35, Context: 48}})[0])
	if len(got.calls) > 0 || len(got.products) != 1 || got.products["bf16 x bf16 -> bf16"] == 0 {
		t.Errorf("calls %v, products %v", got.calls, got.products)
	}
}

// The gradient of the residual stream is rounded to bf16 behind every block's attention and MLP.
// Its float32 form has no other reader, so the kernel that computes it writes bf16 alone. In
// float32 nothing is rounded.
func TestGradientOfTheResidualStreamHasNoFloat32Copy(t *testing.T) {
	c := vitB()
	c.Width, c.Depth, c.Depths, c.Heads = 96, 3, []int{0, 1, 2}, 3
	c.PredictorWidth, c.PredictorDepth, c.PredictorHeads = 48, 2, 3
	s := mask.Shape{Target: 35, Context: 48}
	program := live(gpuPrograms(t, c, []mask.Shape{s})[0])
	uses := map[string]int{} // and one for the definition
	for _, name := range valueForm.FindAllString(program, -1) {
		uses[name]++
	}
	statements := map[string]string{}
	for _, m := range statementForm.FindAllStringSubmatchIndex(program, -1) {
		line, _, _ := strings.Cut(program[m[0]:], "\n")
		statements[program[m[2]:m[3]]] = line
	}
	got := map[string]int{}
	for _, m := range barrierForm.FindAllStringSubmatch(program, -1) {
		got[m[2]]++
		round := roundForm.FindStringSubmatch(statements[m[1]])
		if round == nil {
			t.Errorf("a barrier on %s", statements[m[1]])
		} else if uses[round[1]] != 2 {
			t.Errorf("a gradient %s is read %d times in float32, want once", round[2], uses[round[1]]-1)
		}
	}
	blocks := c.Slots() * c.PredictorDepth
	sequences := c.Batch * c.Masks.TargetBlocks
	student := fmt.Sprintf("%dx%dx%dxbf16", c.Batch, s.Context, c.Width)
	inner := fmt.Sprintf("%dx%dx%dxbf16", sequences, s.Context+s.Target, c.PredictorWidth)
	last := fmt.Sprintf("%dx%dx%dxbf16", sequences, s.Target, c.PredictorWidth)
	want := map[string]int{student: 2 * c.Depth, inner: 2 * (blocks - c.Slots()), last: 2 * c.Slots()}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("rounded gradients %v, want %v", got, want)
	}
	c.Precision = Float32
	if text := gpuPrograms(t, c, []mask.Shape{s})[0]; strings.Contains(text, "bf16") || strings.Contains(text, "barrier") {
		t.Error("the program in float32 rounds something")
	}
}
