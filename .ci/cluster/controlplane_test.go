// Package cluster tries k8s/ and the program in it: a real Kubernetes control plane, a real S3
// server, and nodes that run a pod's command as a local process, chrooted and as the pod's user.
// Run it as root: go -C .ci/cluster test -v -timeout 30m .
package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// plane is a running control plane, and everything that the trials share.
type plane struct {
	dir        string // of state, logs and the kubeconfig
	bin        string // of the Kubernetes programs
	kubeconfig string
	client     kubernetes.Interface
	programs   []*program // in the order in which they were started
}

// program is a running server.
type program struct {
	name    string
	process *exec.Cmd
	ended   chan struct{}
}

// serve starts a server whose output goes to a log file. It must not outlive the tests, so its end
// is tied to theirs.
func (p *plane) serve(name, path string, env []string, arguments ...string) error {
	log, err := os.Create(filepath.Join(p.dir, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	c := exec.Command(path, arguments...)
	c.Env, c.Stdout, c.Stderr = append(os.Environ(), env...), log, log
	if err := c.Start(); err != nil {
		return err
	}
	s := &program{name, c, make(chan struct{})}
	go func() {
		c.Wait()
		close(s.ended)
	}()
	p.programs = append(p.programs, s)
	return nil
}

// stop ends the servers, the newest first: the API server needs etcd for a clean end.
func (p *plane) stop() {
	for i := len(p.programs) - 1; i >= 0; i-- {
		s := p.programs[i]
		s.process.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.ended:
		case <-time.After(10 * time.Second):
			s.process.Process.Kill()
			<-s.ended
		}
	}
}

// freePorts finds ports that nobody listens on.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// startPlane starts etcd, the API server, the controller manager and the scheduler on the loopback
// device.
func startPlane(dir, bin string) (p *plane, err error) {
	p = &plane{dir: dir, bin: bin, kubeconfig: filepath.Join(dir, "kubeconfig")}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	ports, err := freePorts(5)
	if err != nil {
		return p, err
	}
	address := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	if err := p.writeSecrets("https://" + address(2)); err != nil {
		return p, err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	client, peer := "http://"+address(0), "http://"+address(1)
	err = p.serve("etcd", "etcd", nil, "--data-dir", in("etcd"), "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--unsafe-no-fsync", "--log-level", "warn")
	if err != nil {
		return p, err
	}
	err = p.serve("kube-apiserver", filepath.Join(bin, "kube-apiserver"), nil, "--etcd-servers", client,
		"--secure-port", fmt.Sprint(ports[2]), "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--cert-dir", in("api"),
		"--token-auth-file", in("tokens.csv"), "--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", in("sa.pub"), "--service-account-signing-key-file", in("sa.key"),
		"--service-cluster-ip-range", "10.96.0.0/24", "--endpoint-reconciler-type", "none")
	if err != nil {
		return p, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig)
	if err != nil {
		return p, err
	}
	config.QPS, config.Burst = 200, 400
	if p.client, err = kubernetes.NewForConfig(config); err != nil {
		return p, err
	}
	ready := func() error {
		_, err := p.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background())
		return err
	}
	if err := p.await(ready); err != nil {
		return p, err
	}
	common := []string{"--kubeconfig", p.kubeconfig, "--leader-elect=false", "--bind-address", "127.0.0.1"}
	err = p.serve("kube-controller-manager", filepath.Join(bin, "kube-controller-manager"), nil, append(common, "--secure-port", fmt.Sprint(ports[3]), "--cert-dir", in("manager"),
		"--service-account-private-key-file", in("sa.key"), "--root-ca-file", in("api/apiserver.crt"), "--controllers", "*")...)
	if err != nil {
		return p, err
	}
	err = p.serve("kube-scheduler", filepath.Join(bin, "kube-scheduler"), nil, append(common, "--secure-port", fmt.Sprint(ports[4]), "--cert-dir", in("scheduler"))...)
	if err != nil {
		return p, err
	}
	return p, p.await(func() error { // made by the controller manager
		_, err := p.client.CoreV1().ServiceAccounts("default").Get(context.Background(), "default", meta.GetOptions{})
		return err
	})
}

// await asks until there is no error, for a minute.
func (p *plane) await(ready func() error) (err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = ready(); err == nil {
			return nil
		}
		for _, s := range p.programs {
			select {
			case <-s.ended:
				log, _ := os.ReadFile(filepath.Join(p.dir, s.name+".log"))
				return fmt.Errorf("%s ended: %v\n%s", s.name, s.process.ProcessState, log[max(0, len(log)-2000):])
			default:
			}
		}
	}
	return err
}

// writeSecrets makes the key of the service accounts and one user who may do everything. They open
// only this control plane.
func (p *plane) writeSecrets(server string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	token := rand.Text()
	for name, text := range map[string][]byte{
		"sa.key":     pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"sa.pub":     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"tokens.csv": []byte(token + `,admin,1,"system:masters"` + "\n"),
		"kubeconfig": []byte(`apiVersion: v1
kind: Config
clusters: [{name: trial, cluster: {server: "` + server + `", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: ` + token + `}}]
contexts: [{name: trial, context: {cluster: trial, user: admin, namespace: cijepa}}]
current-context: trial
`),
	} {
		if err := os.WriteFile(filepath.Join(p.dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// kubectl runs one command line as a person types it, and gives what it prints.
func (p *plane) kubectl(words ...string) (string, error) {
	c := exec.Command(filepath.Join(p.bin, "kubectl"), words...)
	c.Env = append(os.Environ(), "KUBECONFIG="+p.kubeconfig)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(words, " "), err, out.String())
	}
	return out.String(), nil
}

// must is kubectl in a test that cannot go on without it.
func (p *plane) must(t *testing.T, words ...string) string {
	t.Helper()
	out, err := p.kubectl(words...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
