package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
)

// process is a pod's command as a local process: in a root of its own that is read-only but for the
// pod's volumes, as the pod's user, under the pod's host name.
type process struct {
	pod      *core.Pod
	dir      string
	begun    chan struct{} // start has returned: command is there
	ended    chan struct{} // code is there
	reported chan struct{} // the cluster knows it
	once     sync.Once

	command *exec.Cmd
	code    int

	deleting, shutdown bool   // guarded by the node
	restarts           []int  // exit codes after which the container began again; guarded by the node
	evicted            string // why, if the kubelet has evicted the pod; guarded by the node
}

// volume is the folder of one of the pod's volumes.
func (p *process) volume(name string) string { return filepath.Join(p.dir, "volumes", name) }

func (p *process) log() string { return filepath.Join(p.dir, "log") }

// message is what a kubelet keeps of the log of a container that has failed, when
// FallbackToLogsOnError asks for it.
func (p *process) message() string {
	text, err := os.ReadFile(p.log())
	if p.code == 0 || err != nil || p.pod.Spec.Containers[0].TerminationMessagePolicy != core.TerminationMessageFallbackToLogsOnError {
		return ""
	}
	return string(text[max(0, len(text)-2048):])
}

// start begins the process. The goroutine that starts it keeps a thread to itself, whose name and
// mounts the process inherits.
func (p *process) start(image string, env []string) error {
	root := filepath.Join(p.dir, "root")
	user, group := int(*p.pod.Spec.SecurityContext.RunAsUser), int(*p.pod.Spec.SecurityContext.RunAsGroup)
	for _, d := range []string{root, filepath.Join(root, "proc")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := os.Link(image, filepath.Join(root, "cijepa")); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	volumes := map[string]string{} // by the place where they are mounted
	for _, m := range p.pod.Spec.Containers[0].VolumeMounts {
		volume, place := p.volume(m.Name), filepath.Join(root, m.MountPath)
		for _, d := range []string{volume, place} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return err
			}
		}
		if err := os.Chown(volume, user, group); err != nil {
			return err
		}
		volumes[place] = volume
	}
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	p.command = exec.Command("/cijepa", p.pod.Spec.Containers[0].Args...)
	p.command.Env, p.command.Dir, p.command.Stdout, p.command.Stderr = env, "/", log, log
	p.command.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Setpgid: true, Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(group)}}
	started, ended := make(chan error, 1), p.ended
	go func() {
		defer log.Close()
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		err := isolate(p.pod.Name, root, volumes)
		if err == nil {
			err = p.command.Start()
		}
		started <- err
		if err != nil {
			return
		}
		defer close(ended)
		_ = p.command.Wait()
		status := p.command.ProcessState.Sys().(syscall.WaitStatus)
		if p.code = status.ExitStatus(); status.Signaled() {
			p.code = 128 + int(status.Signal())
		}
	}()
	return <-started
}

// isolate gives this thread a host name and mounts of its own.
func isolate(host, root string, volumes map[string]string) error {
	if err := syscall.Unshare(syscall.CLONE_NEWUTS | syscall.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare (are you root?): %w", err)
	}
	if err := syscall.Sethostname([]byte(host)); err != nil {
		return err
	}
	type mount struct {
		from, to, kind string
		flags          uintptr
	}
	mounts := []mount{
		{"none", "/", "", syscall.MS_REC | syscall.MS_PRIVATE},
		{root, root, "", syscall.MS_BIND},
		{"proc", filepath.Join(root, "proc"), "proc", 0},
	}
	for place, volume := range volumes {
		mounts = append(mounts, mount{volume, place, "", syscall.MS_BIND})
	}
	mounts = append(mounts, mount{root, root, "", syscall.MS_REMOUNT | syscall.MS_BIND | syscall.MS_RDONLY})
	for _, m := range mounts {
		if err := syscall.Mount(m.from, m.to, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", m.to, err)
		}
	}
	return nil
}

// probe runs the pod's liveness probe as a kubelet does: a command in the container, with its
// environment. Every image has one program.
func (p *process) probe() error {
	<-p.begun
	of := p.pod.Spec.Containers[0].LivenessProbe
	if of == nil || of.Exec == nil || filepath.Base(of.Exec.Command[0]) != "cijepa" {
		return fmt.Errorf("the liveness probe is %v", of)
	}
	c := exec.Command("/cijepa", of.Exec.Command[1:]...)
	c.Env, c.Dir = p.command.Env, "/"
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: p.command.SysProcAttr.Chroot, Credential: p.command.SysProcAttr.Credential}
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// stop ends the process as a kubelet does: SIGTERM, and after the grace period SIGKILL.
func (p *process) stop(grace time.Duration) {
	<-p.begun
	if p.command == nil || p.command.Process == nil {
		return
	}
	if grace > 0 {
		p.once.Do(func() { _ = syscall.Kill(p.command.Process.Pid, syscall.SIGTERM) })
	}
	select {
	case <-p.ended:
	case <-time.After(grace):
		_ = syscall.Kill(p.command.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
}
