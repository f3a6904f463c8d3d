/* A model for tests of the Hexagon device: sum = a + b, twice = 2 * sum, of N
   int32 each.

   It speaks the protocol of a compiled model by itself, so that the device is tested without the
   compiler. BEHAVIOUR, given at compile time, makes it misbehave in one of several ways. */

#include <stddef.h>
#include <stdint.h>

#define GOOD 0
#define CRASH 1
#define SPIN 2
#define STATUS 3
#define FLOAT_HVX 4
#define WRONG_SIZES 5
#define LEAVE 6
#define WRONG_MAGIC 7
#define CHATTER 8
#define LATE_START 9
#define VECTORS 10 /* no misbehaviour: its second call has 3 vector instructions for each element */

#ifndef BEHAVIOUR
#define BEHAVIOUR GOOD
#endif
#ifndef STATUS_CODE
#define STATUS_CODE 1
#endif
#ifndef N
#define N 64
#endif
#define CALLS 2
#define ARENA_BYTES 4096

enum { SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT_GROUP = 94 };

void start(void);
__asm__(".globl _start\n_start:\n\tr29 = and(r29, #-128)\n\tcall start\n");

static int system_call(int number, int a, int b, int c) {
  register int r0 __asm__("r0") = a;
  register int r1 __asm__("r1") = b;
  register int r2 __asm__("r2") = c;
  register int r6 __asm__("r6") = number;
  __asm__ volatile("trap0(#1)" : "+r"(r0) : "r"(r1), "r"(r2), "r"(r6) : "memory");
  return r0;
}

static void leave(int status) {
  system_call(SYS_EXIT_GROUP, status, 0, 0);
  for (;;) {
  }
}

static void take(void *data, size_t size) {
  for (size_t done = 0; done < size;) {
    int got = system_call(SYS_READ, 0, (int)((char *)data + done), (int)(size - done));
    if (got <= 0) leave(0);
    done += (size_t)got;
  }
}

static void give(const void *data, size_t size) {
  for (size_t done = 0; done < size;) {
    int sent = system_call(SYS_WRITE, 1, (int)((const char *)data + done), (int)(size - done));
    if (sent <= 0) leave(1);
    done += (size_t)sent;
  }
}

/* qemu counts in control registers that no silicon has: c20 packets, c21 instructions, c22 HVX.
   The words are rN = cM for r0, which no assembler would take. */
static void count(uint32_t *record) {
  register uint32_t r0 __asm__("r0");
  __asm__ volatile(".word 0x6a14c000" : "=r"(r0));
  record[0] = r0;
  __asm__ volatile(".word 0x6a15c000" : "=r"(r0));
  record[1] = r0;
  __asm__ volatile(".word 0x6a16c000" : "=r"(r0));
  record[2] = r0;
}

static int32_t a[N], b[N], sum[N], twice[N]; /* in .bss: the stack of a program is small */
static uint32_t records[CALLS + 1][3];

static void misbehave(void) {
  volatile int *nowhere = (volatile int *)16;
  if (BEHAVIOUR == CRASH) *nowhere = 1;
  if (BEHAVIOUR == LEAVE) leave(9);
  while (BEHAVIOUR == SPIN) {
  }
#if BEHAVIOUR == FLOAT_HVX
  __asm__ volatile("{ v0.qf32 = vadd(v1.sf, v2.sf) }");
#endif
}

static void run(void) {
  count(records[0]);
  for (volatile int i = 0; i < N; i++) sum[i] = a[i] + b[i];
  count(records[1]);
  for (volatile int i = 0; i < N; i++) {
    twice[i] = 2 * sum[i];
#if BEHAVIOUR == VECTORS
    __asm__ volatile("{ v0.w = vadd(v1.w, v2.w); v3.w = vadd(v1.w, v2.w) }\n"
                     "{ v0 = vand(v1, v3) }" ::: "v0", "v3");
#endif
  }
  count(records[2]);
}

static void reply(void) {
  uint32_t status = BEHAVIOUR == STATUS ? STATUS_CODE : 0;
  uint32_t bytes = BEHAVIOUR == WRONG_SIZES ? 12 : sizeof sum + sizeof twice;
  uint32_t header[4] = {status, bytes, CALLS, 0};
  give(header, sizeof header);
  if (status) return;
  give(records, sizeof records);
  give(sum, sizeof sum);
  give(twice, sizeof twice);
  if (BEHAVIOUR == CHATTER) give(header, sizeof header);
}

void start(void) {
  uint32_t magic = BEHAVIOUR == WRONG_MAGIC ? 0x464c457f : 0x43434c44;
  uint32_t hello[4] = {magic, 1, CALLS, ARENA_BYTES};
  while (BEHAVIOUR == LATE_START) {
  }
  give(hello, sizeof hello);
  for (;;) {
    uint32_t times;
    take(&times, sizeof times);
    if (times == 0) leave(0);
    take(a, sizeof a);
    take(b, sizeof b);
    misbehave();
    while (times--) run();
    reply();
  }
}
