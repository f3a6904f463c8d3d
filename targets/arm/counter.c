/* Counts the instructions that an emulated device executes: a plug-in for qemu's user-mode emulator.

   The count is kept in a file that qemu maps shared, so that a program inside the emulator maps the
   same file and reads its own count at any moment, without a system call. It is exact for one
   guest thread: the additions are not atomic.

   qemu's header is in no package, so the part of its interface that is used is declared here.
     version 1 (qemu 4.2 to 8): the addition is compiled into each block of guest code.
     version 2 and later (qemu 9 on): that call is gone; a function is called for each block.
   PLUGIN_API says which one to use.
   Source: docs/devel/tcg-plugins.rst and include/qemu/qemu-plugin.h of qemu. */

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef PLUGIN_API
#define PLUGIN_API 1
#endif

#define EXPORTED __attribute__((visibility("default")))
#define COUNTERS_BYTES 4096

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_info;

typedef void (*translated_fn)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*executed_fn)(unsigned int cpu, void *data);

enum { QEMU_PLUGIN_INLINE_ADD_U64 = 0 };
enum { QEMU_PLUGIN_CB_NO_REGS = 0 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_fn);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
#if PLUGIN_API == 1
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int operation,
                                                     void *counter, uint64_t amount);
#else
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed_fn, int flags,
                                                 void *data);
#endif

EXPORTED int qemu_plugin_version = PLUGIN_API;

static volatile uint64_t *instructions;

#if PLUGIN_API > 1
static void executed(unsigned int cpu, void *data) {
  (void)cpu;
  *instructions += (uint64_t)(uintptr_t)data;
}
#endif

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  size_t length = qemu_plugin_tb_n_insns(block);
  (void)id;
#if PLUGIN_API == 1
  qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64,
                                           (void *)instructions, length);
#else
  qemu_plugin_register_vcpu_tb_exec_cb(block, executed, QEMU_PLUGIN_CB_NO_REGS,
                                       (void *)(uintptr_t)length);
#endif
}

/* The argument is out=FILE, a file that the starter made (`file` is a word of qemu's own). */
EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc,
                                 char **argv) {
  const char *path = NULL;
  int file;
  (void)info;
  for (int i = 0; i < argc; i++)
    if (strncmp(argv[i], "out=", 4) == 0) path = argv[i] + 4;
  if (path == NULL || (file = open(path, O_RDWR)) < 0) return -1;
  instructions = mmap(NULL, COUNTERS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (instructions == MAP_FAILED) return -1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  return 0;
}
