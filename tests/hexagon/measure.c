/* Runs one kernel under qemu-hexagon: arguments come in on stdin, everything goes out on stdout.
 *
 * Built with -include of a generated header that defines
 *   ARGUMENTS       number of buffers the kernel takes
 *   SIZES           their sizes in bytes, separated by commas
 *   KERNEL(b)       the call, b[i] being the address of buffer i
 *   TOTAL           bytes that all buffers need together, each rounded up to 128
 */
typedef unsigned char u8;
typedef unsigned u32;
typedef __SIZE_TYPE__ size_t;

/* system calls of Linux on Hexagon: number in r6, arguments from r0 on, trap0(#1) */
static int call3(int number, int a, int b, int c) {
  register int r0 __asm__("r0") = a;
  register int r1 __asm__("r1") = b;
  register int r2 __asm__("r2") = c;
  register int r6 __asm__("r6") = number;
  __asm__ volatile("trap0(#1)" : "+r"(r0) : "r"(r1), "r"(r2), "r"(r6) : "memory");
  return r0;
}
enum { SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT = 94 };

/* as __builtin_memcpy and memset would be called by compiled kernels */
void *memcpy(void *to, const void *from, size_t n) {
  u8 *a = to;
  const u8 *b = from;
  while (n--) *a++ = *b++;
  return to;
}
void *memset(void *to, int value, size_t n) {
  u8 *a = to;
  while (n--) *a++ = (u8)value;
  return to;
}

/* TVM's kernels take their temporary memory through these two pointers */
enum { WORKSPACE = 64 << 20, MOST_LIVE = 64 };
static u8 workspace[WORKSPACE] __attribute__((aligned(128)));
static u32 used, live[MOST_LIVE], lives;
static void *take(int type, int id, unsigned long long bytes, int code, int bits) {
  (void)type, (void)id, (void)code, (void)bits;
  u32 at = used;
  if (lives == MOST_LIVE || bytes > WORKSPACE - at) return 0;
  live[lives++] = at;
  used = (at + (u32)bytes + 127) & ~127u;
  return workspace + at;
}
static int give(int type, int id, void *block) {
  (void)type, (void)id, (void)block;
  used = live[--lives];
  return 0;
}
void *__TVMBackendAllocWorkspace = (void *)take;
void *__TVMBackendFreeWorkspace = (void *)give;

/* qemu counts packets, instructions and HVX instructions in the reserved control registers c20,
 * c21 and c22; their names are no assembly, so the words of r0 = c20 … stand here */
#define COUNTER(name, word)                            \
  static u32 name(void) {                              \
    register u32 r0 __asm__("r0");                     \
    __asm__ volatile(".word " #word : "=r"(r0));       \
    return r0;                                         \
  }
COUNTER(packets, 0x6a14c000)
COUNTER(instructions, 0x6a15c000)
COUNTER(hvx, 0x6a16c000)

static u8 memory[TOTAL] __attribute__((aligned(128)));
static const u32 sizes[ARGUMENTS] = {SIZES};

static void transfer(int number, int file, u8 *at, u32 bytes) {
  while (bytes) {
    int done = call3(number, file, (int)at, (int)bytes);
    if (done <= 0) call3(SYS_EXIT, 3, 0, 0);
    at += done, bytes -= (u32)done;
  }
}

int main(void) {
  void *buffer[ARGUMENTS];
  u32 at = 0, before[3], after[3];
  for (int i = 0; i < ARGUMENTS; i++) {
    buffer[i] = memory + at;
    at += (sizes[i] + 127) & ~127u;
    transfer(SYS_READ, 0, buffer[i], sizes[i]);
  }
  before[0] = packets(), before[1] = instructions(), before[2] = hvx();
  int failed = KERNEL(buffer);
  after[0] = packets(), after[1] = instructions(), after[2] = hvx();
  if (failed) return 5;
  for (int i = 0; i < 3; i++) after[i] -= before[i];
  transfer(SYS_WRITE, 1, (u8 *)after, sizeof after);
  for (int i = 0; i < ARGUMENTS; i++) transfer(SYS_WRITE, 1, buffer[i], sizes[i]);
  return 0;
}

void finish(int code) { call3(SYS_EXIT, code, 0, 0); }
__asm__(
    ".globl _start\n_start:\n r29=and(r29,#-128)\n r30=#0\n allocframe(#0)\n call main\n"
    " call finish\n"
    /* LLVM calls this one for large copies of aligned memory */
    ".globl __hexagon_memcpy_likely_aligned_min32bytes_mult8bytes\n"
    "__hexagon_memcpy_likely_aligned_min32bytes_mult8bytes: jump memcpy\n");
