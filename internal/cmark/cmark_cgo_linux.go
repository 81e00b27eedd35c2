//go:build cgo

package cmark

/*
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>

struct call { int fd, level, option, value, err; };

static void *set(void *p) {
	struct call *c = p;
	c->err = setsockopt(c->fd, c->level, c->option, &c->value, sizeof c->value) ? errno : 0;
	return NULL;
}

static int set_here(int fd, int level, int option, int value) {
	struct call c = { fd, level, option, value, 0 };
	set(&c);
	return c.err;
}

static int set_on_thread(int fd, int level, int option, int value) {
	struct call c = { fd, level, option, value, 0 };
	pthread_t thread;
	int err = pthread_create(&thread, NULL, set, &c);
	if (err)
		return err;
	pthread_join(thread, NULL);
	return c.err;
}
*/
import "C"

import "syscall"

const available = true

// Set calls setsockopt(2) from C, on a thread that C makes for it if thread is true.
func Set(fd uintptr, level, option, value int, thread bool) error {
	var errno C.int
	if thread {
		errno = C.set_on_thread(C.int(fd), C.int(level), C.int(option), C.int(value))
	} else {
		errno = C.set_here(C.int(fd), C.int(level), C.int(option), C.int(value))
	}
	if errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}
