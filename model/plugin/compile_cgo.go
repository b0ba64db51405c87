//go:build cgo

package plugin

// #include "abi.h"
import "C"

import (
	"fmt"
	"time"
	"unsafe"
)

//export cijepaCompile
func cijepaCompile(args unsafe.Pointer) unsafe.Pointer {
	a := (*C.abi_compile)(args)
	c := clientOf(a.client)
	l := c.native.library
	begun := time.Now()
	program := Program{}
	store := c.options.Programs
	if store != nil {
		program.Key = c.key(a)
		if stored := store.Get(program.Key); stored != nil {
			executable, memory, err := c.load(stored)
			if err == nil {
				a.executable = executable
				program.Stored, program.Bytes, program.Memory = true, len(stored), memory
				c.add(program, begun)
				return nil
			}
			c.warn("a stored program cannot be used: it is compiled again", program.Key, err)
		}
	}
	if fault := C.abi_call(l.table, C.ABI_CLIENT_COMPILE, args); fault != nil {
		return fault
	}
	executable, err := l.executable(a.executable)
	if err != nil {
		c.warn("a program cannot be inspected", program.Key, err)
		c.add(program, begun)
		return nil
	}
	defer l.destroy(C.ABI_EXECUTABLE_DESTROY, executable)
	program.Memory = l.memory(executable)
	if store != nil {
		stored, err := l.serialize(executable)
		if err != nil {
			c.warn("a program cannot be stored", program.Key, err)
		} else {
			program.Bytes = len(stored)
			store.Put(program.Key, stored)
		}
	}
	c.add(program, begun)
	return nil
}

func (c *Client) key(a *C.abi_compile) string {
	p := a.program
	l := c.native.library
	return keyOf(l.version(), []byte(c.version), []byte(c.kind), []byte(l.flags),
		bytesOf(p.format, p.format_size), unnamed(bytesOf(p.code, p.code_size)), bytesOf(a.options, a.options_size))
}

// load makes an executable of a stored program, and makes the calls that go-xla will make of it, so
// that a program that fails them is compiled again.
func (c *Client) load(stored []byte) (executable unsafe.Pointer, memory *ProgramMemory, err error) {
	program, err := unseal(stored)
	if err != nil {
		return nil, nil, err
	}
	l := c.native.library
	copied := C.CBytes(program)
	defer C.free(copied)
	args := C.abi_deserialize{client: c.native.client, bytes: (*C.char)(copied), bytes_size: C.size_t(len(program))}
	if err := l.call(C.ABI_EXECUTABLE_DESERIALIZE_AND_LOAD, unsafe.Pointer(&args), unsafe.Sizeof(args)); err != nil {
		return nil, nil, err
	}
	inner, err := l.executable(args.executable)
	if err == nil {
		defer l.destroy(C.ABI_EXECUTABLE_DESTROY, inner)
		outputs := C.abi_num_outputs{executable: inner}
		if err = l.call(C.ABI_EXECUTABLE_NUM_OUTPUTS, unsafe.Pointer(&outputs), unsafe.Sizeof(outputs)); err == nil {
			if memory = l.memory(inner); memory == nil {
				err = fmt.Errorf("the plugin does not report its memory")
			}
		}
	}
	if err != nil {
		l.destroy(C.ABI_LOADED_EXECUTABLE_DESTROY, args.executable)
		return nil, nil, err
	}
	return args.executable, memory, nil
}

// executable is the inner executable, which answers questions. The caller destroys it.
func (l *library) executable(loaded unsafe.Pointer) (unsafe.Pointer, error) {
	args := C.abi_get{from: loaded}
	err := l.call(C.ABI_LOADED_EXECUTABLE_GET_EXECUTABLE, unsafe.Pointer(&args), unsafe.Sizeof(args))
	return args.to, err
}

func (l *library) destroy(function C.int, executable unsafe.Pointer) {
	args := C.abi_destroy{executable: executable}
	_ = l.call(function, unsafe.Pointer(&args), unsafe.Sizeof(args)) // a leak, at worst
}

func (l *library) memory(executable unsafe.Pointer) *ProgramMemory {
	args := C.abi_compiled_memory{executable: executable}
	if l.call(C.ABI_EXECUTABLE_GET_COMPILED_MEMORY_STATS, unsafe.Pointer(&args), unsafe.Sizeof(args)) != nil {
		return nil
	}
	return &ProgramMemory{
		Code: int64(args.code), Arguments: int64(args.arguments), Outputs: int64(args.outputs),
		Aliased: int64(args.aliased), Temporary: int64(args.temporary), Peak: int64(args.peak),
	}
}

// serialize returns the stored form of a program.
func (l *library) serialize(executable unsafe.Pointer) ([]byte, error) {
	args := C.abi_serialize{executable: executable}
	if err := l.call(C.ABI_EXECUTABLE_SERIALIZE, unsafe.Pointer(&args), unsafe.Sizeof(args)); err != nil {
		return nil, err
	}
	defer C.abi_delete(&args)
	return seal(bytesOf(args.bytes, args.bytes_size)), nil
}
