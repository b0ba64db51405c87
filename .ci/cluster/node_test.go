package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	batch "k8s.io/api/batch/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// node stands in for a machine and its kubelet: it is registered with labels, taints and GPUs, runs
// the pods that the scheduler gives it, reports their exit codes, and serves their logs.
type node struct {
	name    string
	plane   *plane
	image   string   // the binary that every image is
	env     []string // what the cloud's identity webhook adds to a pod
	dir     string
	logs    *httptest.Server
	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu   sync.Mutex // guards what follows
	pods map[types.UID]*process
	down bool // the machine takes no more pods

	silent bool // nothing is reported any more
	broken bool // the machine's GPU fails at once: every container ends with 75
}

// spotTaints and spotLabels are those of a GKE node pool with GPUs.
var (
	spotLabels = map[string]string{"cloud.google.com/gke-spot": "true", "cloud.google.com/gke-accelerator": "nvidia-h100-80gb",
		"cloud.google.com/gke-gpu-driver-version": "latest", "kubernetes.io/arch": "amd64"}
	spotTaints = []core.Taint{
		{Key: "cloud.google.com/gke-spot", Value: "true", Effect: core.TaintEffectNoSchedule},
		{Key: "nvidia.com/gpu", Value: "present", Effect: core.TaintEffectNoSchedule},
	}
)

// newNode adds a machine to the cluster until the test ends. pool is the label by which a trial
// keeps its machines to itself.
func newNode(t *testing.T, s *stage, name, pool string, gpus int) *node {
	t.Helper()
	n := &node{name: name, plane: s.plane, image: s.image, env: s.identity, dir: filepath.Join(s.dir, "nodes", name), pods: map[types.UID]*process{}}
	n.logs = httptest.NewTLSServer(http.HandlerFunc(n.serveLog))
	port := n.logs.Listener.Addr().(*net.TCPAddr).Port
	labels := maps.Clone(spotLabels)
	labels["kubernetes.io/hostname"], labels["kubernetes.io/os"], labels["pool"] = name, "linux", pool
	resources := core.ResourceList{"cpu": resource.MustParse("64"), "memory": resource.MustParse("512Gi"), "ephemeral-storage": resource.MustParse("500Gi"),
		"pods": resource.MustParse("50"), "nvidia.com/gpu": *resource.NewQuantity(int64(gpus), resource.DecimalSI)}
	machine := &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: name, Labels: labels},
		Spec:       core.NodeSpec{Taints: spotTaints},
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	nodes := s.plane.client.CoreV1().Nodes()
	if _, err := nodes.Create(ctx, machine, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	status, err := json.Marshal(map[string]any{"status": core.NodeStatus{
		Capacity: resources, Allocatable: resources,
		Conditions:      []core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: meta.Now(), LastTransitionTime: meta.Now()}},
		Addresses:       []core.NodeAddress{{Type: core.NodeInternalIP, Address: "127.0.0.1"}},
		DaemonEndpoints: core.NodeDaemonEndpoints{KubeletEndpoint: core.DaemonEndpoint{Port: int32(port)}},
		NodeInfo:        core.NodeSystemInfo{KubeletVersion: "v1.36.3", OperatingSystem: "linux", Architecture: "amd64"},
	}})
	if err == nil {
		_, err = nodes.Patch(ctx, name, types.StrategicMergePatchType, status, meta.PatchOptions{}, "status")
	}
	if err != nil {
		t.Fatal(err)
	}
	n.workers.Go(func() { n.beat(ctx) })
	n.workers.Go(func() {
		for ctx.Err() == nil {
			n.watch(ctx)
			time.Sleep(100 * time.Millisecond)
		}
	})
	t.Cleanup(n.remove)
	return n
}

// remove takes the machine away: its processes die, and the cloud deletes the Node.
func (n *node) remove() {
	n.cancel()
	n.workers.Wait()
	n.mu.Lock()
	n.down = true
	left := n.pods
	n.mu.Unlock()
	for _, p := range left {
		p.stop(0)
	}
	_ = n.plane.client.CoreV1().Nodes().Delete(context.Background(), n.name, meta.DeleteOptions{})
	n.logs.Close()
}

// beat keeps the Node's lease, without which the cluster gives its pods up.
func (n *node) beat(ctx context.Context) {
	leases := n.plane.client.CoordinationV1().Leases("kube-node-lease")
	seconds := int32(40)
	lease := &coordination.Lease{ObjectMeta: meta.ObjectMeta{Name: n.name}, Spec: coordination.LeaseSpec{HolderIdentity: &n.name, LeaseDurationSeconds: &seconds}}
	for ; ctx.Err() == nil; sleep(ctx, 5*time.Second) {
		now := meta.NowMicro()
		lease.Spec.RenewTime = &now
		if kept, err := leases.Update(ctx, lease, meta.UpdateOptions{}); err == nil {
			lease = kept
		} else if made, err := leases.Create(ctx, lease, meta.CreateOptions{}); err == nil {
			lease = made
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// watch follows the pods that are bound to this node, until the API server ends the stream.
func (n *node) watch(ctx context.Context) {
	mine := fields.OneTermEqualSelector("spec.nodeName", n.name).String()
	list, err := n.plane.client.CoreV1().Pods("").List(ctx, meta.ListOptions{FieldSelector: mine})
	if err != nil {
		return
	}
	for i := range list.Items {
		n.sync(&list.Items[i])
	}
	w, err := n.plane.client.CoreV1().Pods("").Watch(ctx, meta.ListOptions{FieldSelector: mine, ResourceVersion: list.ResourceVersion})
	if err != nil {
		return
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if pod, ok := e.Object.(*core.Pod); ok && e.Type != watch.Deleted {
			n.sync(pod)
		}
	}
}

// sync starts a pod that is new and stops one that is being deleted.
func (n *node) sync(pod *core.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.pods[pod.UID]
	ended := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
	switch {
	case pod.DeletionTimestamp != nil:
		if p != nil && p.deleting {
			return
		}
		if p != nil {
			p.deleting = true
		}
		grace := time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
		go func() {
			if p != nil {
				p.stop(grace)
				<-p.reported
			}
			now := int64(0)
			_ = n.plane.client.CoreV1().Pods(pod.Namespace).Delete(context.Background(), pod.Name, meta.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &meta.Preconditions{UID: &pod.UID}})
		}()
	case p == nil && !n.down && !ended:
		p = &process{pod: pod.DeepCopy(), dir: filepath.Join(n.dir, string(pod.UID)), begun: make(chan struct{}), ended: make(chan struct{}), reported: make(chan struct{})}
		n.pods[pod.UID] = p
		go n.run(p)
	}
}

// run is the life of a pod: its process, and what the cluster is told of it.
func (n *node) run(p *process) {
	defer close(p.reported)
	started := meta.Now()
	container := p.pod.Spec.Containers[0]
	status := func(phase core.PodPhase, ready core.ConditionStatus, state core.ContainerState) core.PodStatus {
		now := meta.Now()
		return core.PodStatus{
			Phase: phase, StartTime: &started, HostIP: "127.0.0.1", PodIP: "127.0.0.1",
			ContainerStatuses: []core.ContainerStatus{{Name: container.Name, Image: container.Image, ImageID: container.Image, Ready: ready == core.ConditionTrue, State: state}},
			Conditions: []core.PodCondition{
				{Type: core.PodInitialized, Status: core.ConditionTrue, LastTransitionTime: now},
				{Type: core.PodReady, Status: ready, LastTransitionTime: now},
				{Type: core.ContainersReady, Status: ready, LastTransitionTime: now},
			},
		}
	}
	env, err := n.environment(p.pod)
	if err == nil {
		err = n.fillVolumes(p)
	}
	n.mu.Lock()
	broken := n.broken
	n.mu.Unlock()
	if err == nil && !broken {
		err = p.start(n.image, env)
	}
	close(p.begun)
	if broken {
		p.code = 75
		close(p.ended)
	} else if err != nil {
		p.code = 128
		close(p.ended)
		fmt.Fprintln(os.Stderr, "node", n.name, "pod", p.pod.Name, err)
	} else {
		n.report(p.pod, status(core.PodRunning, core.ConditionTrue, core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: started}}))
		<-p.ended
		for n.restartsInPlace(p) {
			if err := p.start(n.image, env); err != nil {
				fmt.Fprintln(os.Stderr, "node", n.name, "pod", p.pod.Name, err)
				break
			}
			<-p.ended
		}
	}
	phase, reason := core.PodSucceeded, "Completed"
	if p.code != 0 {
		phase, reason = core.PodFailed, "Error"
	}
	s := status(phase, core.ConditionFalse, core.ContainerState{Terminated: &core.ContainerStateTerminated{ExitCode: int32(p.code), Reason: reason, Message: p.message(), StartedAt: started, FinishedAt: meta.Now()}})
	n.mu.Lock()
	if p.shutdown { // a kubelet that is shut down fails its pods and says that it was the machine
		s.Phase, s.Reason, s.Message = core.PodFailed, "Terminated", "Pod was terminated in response to imminent node shutdown."
		s.Conditions = append(s.Conditions, core.PodCondition{Type: core.DisruptionTarget, Status: core.ConditionTrue, Reason: core.PodReasonTerminationByKubelet, Message: s.Message, LastTransitionTime: meta.Now()})
	}
	if p.evicted != "" {
		// The kubelet names no disruption: the pod itself was the cause.
		s.Phase, s.Reason, s.Message = core.PodFailed, "Evicted", p.evicted
	}
	silent := n.silent
	n.mu.Unlock()
	if !silent {
		n.report(p.pod, s)
	}
}

func (n *node) report(pod *core.Pod, s core.PodStatus) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": s})
	for range 5 {
		if err == nil {
			_, err = n.plane.client.CoreV1().Pods(pod.Namespace).Patch(context.Background(), pod.Name, types.StrategicMergePatchType, patch, meta.PatchOptions{}, "status")
		}
		if err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "node", n.name, "reporting", pod.Name, err)
}

// environment is what the kubelet would hand to the container, and the identity beside it.
func (n *node) environment(pod *core.Pod) ([]string, error) {
	env := append([]string{"HOME=/tmp", "HOSTNAME=" + pod.Name}, n.env...)
	container := pod.Spec.Containers[0]
	for _, from := range container.EnvFrom {
		m, err := n.plane.client.CoreV1().ConfigMaps(pod.Namespace).Get(context.Background(), from.ConfigMapRef.Name, meta.GetOptions{})
		if err != nil {
			return nil, err
		}
		for k, v := range m.Data {
			env = append(env, k+"="+v)
		}
	}
	for _, e := range container.Env {
		v := e.Value
		if e.ValueFrom != nil {
			path := ""
			if e.ValueFrom.FieldRef != nil {
				path = e.ValueFrom.FieldRef.FieldPath
			}
			switch path {
			case "metadata.labels['" + batch.JobCompletionIndexAnnotation + "']": // the Job controller gives a line its index so
				v = pod.Labels[batch.JobCompletionIndexAnnotation]
			case "spec.nodeName":
				v = pod.Spec.NodeName
			default:
				return nil, fmt.Errorf("this node cannot give %s: %v", e.Name, e.ValueFrom)
			}
		}
		env = append(env, e.Name+"="+v)
	}
	return env, nil
}

// restartsInPlace says whether the rules of the container restart it after its exit code, and makes
// it ready for that. The kubelet would wait 10 s, and longer each time.
func (n *node) restartsInPlace(p *process) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.deleting || p.shutdown || p.evicted != "" {
		return false
	}
	for _, rule := range p.pod.Spec.Containers[0].RestartPolicyRules {
		if rule.Action == core.ContainerRestartRuleActionRestart && rule.ExitCodes != nil && slices.Contains(rule.ExitCodes.Values, int32(p.code)) {
			p.restarts = append(p.restarts, p.code)
			p.ended = make(chan struct{})
			return true
		}
	}
	return false
}

// fillVolumes writes the ConfigMaps that the pod mounts.
func (n *node) fillVolumes(p *process) error {
	for _, v := range p.pod.Spec.Volumes {
		if v.ConfigMap == nil {
			continue
		}
		m, err := n.plane.client.CoreV1().ConfigMaps(p.pod.Namespace).Get(context.Background(), v.ConfigMap.Name, meta.GetOptions{})
		if err != nil {
			return err
		}
		folder := p.volume(v.Name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		for name, text := range m.Data {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// evict is what a kubelet does to a pod that is over its limit of local storage.
func (n *node) evict(pod *core.Pod, grace time.Duration) {
	n.mu.Lock()
	p := n.pods[pod.UID]
	p.evicted = `Usage of EmptyDir volume "cache" exceeds the limit "20Gi". `
	n.mu.Unlock()
	p.stop(grace)
	<-p.reported
}

// shutDown is what a kubelet does when its machine is reclaimed: it ends the pods within the grace
// that ordinary ones get.
func (n *node) shutDown(grace time.Duration) {
	for _, p := range n.leave(false) {
		p.stop(grace)
		<-p.reported
	}
}

// vanish is a machine that goes without a word: nobody reports its pods, and the cloud deletes the
// Node.
func (n *node) vanish() {
	n.leave(true)
	n.remove()
}

// leave takes no more pods, and gives those that are there.
func (n *node) leave(silently bool) (running []*process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down, n.silent = true, silently
	for _, p := range n.pods {
		p.shutdown = true
		running = append(running, p)
	}
	return running
}

// probe runs the liveness probe of a Job's pods on this machine: a kubelet would end a run that
// fails it.
func (n *node) probe(t *testing.T, job string) {
	t.Helper()
	n.mu.Lock()
	pods := slices.Collect(maps.Values(n.pods))
	n.mu.Unlock()
	probed := 0
	for _, p := range pods {
		if p.pod.Labels["job-name"] != job {
			continue
		}
		if err := p.probe(); err != nil {
			t.Errorf("the liveness probe of %s: %v", p.pod.Name, err)
		}
		probed++
	}
	if probed == 0 {
		t.Errorf("no pod of %s has been probed", job)
	}
}

// serveLog answers kubectl logs: /containerLogs/<namespace>/<pod>/<container>.
func (n *node) serveLog(w http.ResponseWriter, r *http.Request) {
	name := filepath.Base(filepath.Dir(r.URL.Path))
	n.mu.Lock()
	var p *process
	for _, q := range n.pods {
		if q.pod.Name == name {
			p = q
		}
	}
	n.mu.Unlock()
	if p == nil {
		http.NotFound(w, r)
		return
	}
	text, err := os.ReadFile(p.log())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if n, err := strconv.Atoi(r.URL.Query().Get("tailLines")); err == nil {
		lines := bytes.SplitAfter(text, []byte("\n"))
		text = bytes.Join(lines[max(0, len(lines)-1-n):], nil)
	}
	_, _ = w.Write(text)
}

// exits are the exit codes of a Job's pods on these machines, by pod.
func exits(job string, nodes ...*node) map[string]int {
	codes := map[string]int{}
	for _, n := range nodes {
		n.mu.Lock()
		for _, p := range n.pods {
			select {
			case <-p.ended:
				if p.pod.Labels["job-name"] == job {
					codes[p.pod.Name] = p.code
				}
			default:
			}
		}
		n.mu.Unlock()
	}
	return codes
}
