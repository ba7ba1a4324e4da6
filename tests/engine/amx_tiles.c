// Computes AMX's tile instructions in software, so that code for processors with AMX can be tried on any other x86-64
// Linux computer (with whatever else that code needs, AVX-512 above all). Preloaded (LD_PRELOAD) into the process:
//
// - Without AMX a tile instruction is an illegal one: the handler of SIGILL computes it and goes on behind it. It
//   refuses what the processor would refuse, by letting the signal end the process: a configuration that is not valid,
//   a tile that is not configured, shapes that do not fit.
// - The request for permission to use tiles (arch_prctl) is granted.
//
// Reference: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, LDTILECFG to TILEZERO and TDPBSSD.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define REQUEST_PERMISSION 0x1023 // ARCH_REQ_XCOMP_PERM of asm/prctl.h
#define TILES 8
#define MAX_ROWS 16
#define MAX_COLUMN_BYTES 64

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t column_bytes[16];
    uint8_t rows[16];
} Configuration;

static __thread Configuration configuration;
static __thread uint8_t tiles[TILES][MAX_ROWS][MAX_COLUMN_BYTES];

long syscall(long number, ...) {
    long arguments[6];
    va_list list;
    va_start(list, number);
    for (int index = 0; index < 6; ++index) arguments[index] = va_arg(list, long);
    va_end(list);
    if (number == SYS_arch_prctl && arguments[0] == REQUEST_PERMISSION) return 0;
    static long (*real)(long, ...);
    if (!real) real = (long (*)(long, ...)) dlsym(RTLD_NEXT, "syscall");
    return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

static int refuse(const char *reason) {
    fprintf(stderr, "AMX would fault: %s\n", reason);
    return 0;
}

static uint64_t general_register(const ucontext_t *context, int number) {
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return (uint64_t) context->uc_mcontext.gregs[order[number]];
}

typedef struct {
    int prefix, opcode, reg, rm, mod, vvvv; // prefix: 0 none, 1 66, 2 F3, 3 F2
    uint64_t base, index, address;          // of the memory operand; index is scaled
    int length;
} Instruction;

// A three-byte VEX instruction of map 0F38 with a memory or register operand.
static int decode(const ucontext_t *context, Instruction *out) {
    const uint8_t *code = (const uint8_t *) context->uc_mcontext.gregs[REG_RIP];
    if (code[0] != 0xC4 || (code[1] & 0x1F) != 2 || (code[2] & 0x84)) return 0; // W and L are 0
    const int r = !(code[1] & 0x80), x = !(code[1] & 0x40), b = !(code[1] & 0x20);
    out->prefix = code[2] & 3;
    out->vvvv = (~code[2] >> 3) & 15;
    out->opcode = code[3];
    const uint8_t modrm = code[4];
    out->mod = modrm >> 6;
    out->reg = ((modrm >> 3) & 7) | r << 3;
    out->rm = (modrm & 7) | b << 3;
    out->length = 5;
    if (out->mod == 3) return 1;
    int64_t displacement = 0;
    int displacement_bytes = out->mod == 1 ? 1 : out->mod == 2 ? 4 : 0;
    out->base = out->index = 0;
    if ((modrm & 7) == 4) {
        const uint8_t sib = code[5];
        const int index = ((sib >> 3) & 7) | x << 3, base = (sib & 7) | b << 3;
        out->length++;
        if (index != 4) out->index = general_register(context, index) << (sib >> 6);
        if ((sib & 7) == 5 && out->mod == 0) displacement_bytes = 4;
        else out->base = general_register(context, base);
    } else if (out->mod == 0 && (modrm & 7) == 5) {
        displacement_bytes = 4;
        out->base = (uint64_t) context->uc_mcontext.gregs[REG_RIP] + 9;
    } else {
        out->base = general_register(context, out->rm);
    }
    if (displacement_bytes == 1) displacement = (int8_t) code[out->length];
    if (displacement_bytes == 4) {
        int32_t value;
        memcpy(&value, code + out->length, 4);
        displacement = value;
    }
    out->length += displacement_bytes;
    out->base += (uint64_t) displacement;
    out->address = out->base + out->index;
    return 1;
}

static int load_configuration(const Configuration *wanted) {
    if (wanted->palette > 1) return refuse("unknown palette");
    for (int index = 0; index < 14; ++index)
        if (wanted->reserved[index]) return refuse("reserved bytes of the configuration are set");
    for (int tile = 0; tile < 16; ++tile) {
        const int rows = wanted->rows[tile], bytes = wanted->column_bytes[tile];
        if (tile >= TILES && (rows || bytes)) return refuse("a tile that does not exist is configured");
        if (rows > MAX_ROWS || bytes > MAX_COLUMN_BYTES) return refuse("a tile is configured too large");
        if (!rows != !bytes) return refuse("a tile is configured by half");
    }
    configuration = *wanted;
    memset(tiles, 0, sizeof tiles);
    return 1;
}

static int usable(int tile) {
    return configuration.palette == 1 && tile < TILES && configuration.rows[tile] && configuration.column_bytes[tile];
}

static int multiply(int target, int left, int right, int left_signed, int right_signed) {
    if (!usable(target) || !usable(left) || !usable(right)) return refuse("a product of tiles that are not configured");
    const int rows = configuration.rows[target], columns = configuration.column_bytes[target] / 4;
    const int depth = configuration.column_bytes[left] / 4;
    if (configuration.rows[left] != rows || configuration.column_bytes[right] != configuration.column_bytes[target] ||
        configuration.rows[right] != depth)
        return refuse("a product of tiles that do not fit");
    for (int row = 0; row < rows; ++row)
        for (int column = 0; column < columns; ++column) {
            int32_t sum;
            memcpy(&sum, &tiles[target][row][4 * column], 4);
            for (int step = 0; step < depth; ++step)
                for (int byte = 0; byte < 4; ++byte) {
                    const uint8_t a = tiles[left][row][4 * step + byte], b = tiles[right][step][4 * column + byte];
                    sum += (left_signed ? (int8_t) a : a) * (right_signed ? (int8_t) b : b);
                }
            memcpy(&tiles[target][row][4 * column], &sum, 4);
        }
    return 1;
}

static int compute(const Instruction *it) {
    if (it->opcode == 0x49 && it->mod != 3 && it->prefix == 0) return load_configuration((const void *) it->address);
    if (it->opcode == 0x49 && it->mod == 3 && it->prefix == 0) {
        memset(&configuration, 0, sizeof configuration);
        return 1;
    }
    if (it->opcode == 0x5E) return multiply(it->reg, it->rm, it->vvvv, it->prefix & 2, it->prefix == 3 || it->prefix == 1);
    if (!usable(it->reg)) return refuse("a tile is used that is not configured");
    if (it->opcode == 0x49 && it->prefix == 3) {
        memset(tiles[it->reg], 0, sizeof tiles[it->reg]);
        return 1;
    }
    if (it->opcode != 0x4B || it->mod == 3) return 0;
    for (int row = 0; row < configuration.rows[it->reg]; ++row) {
        uint8_t *memory = (uint8_t *) (it->base + (uint64_t) row * it->index);
        if (it->prefix == 2) memcpy(memory, tiles[it->reg][row], configuration.column_bytes[it->reg]);
        else memcpy(tiles[it->reg][row], memory, configuration.column_bytes[it->reg]);
    }
    return 1;
}

static void on_illegal_instruction(int number, siginfo_t *info, void *opaque) {
    (void) info;
    ucontext_t *context = opaque;
    Instruction instruction = {0};
    if (decode(context, &instruction) && compute(&instruction)) context->uc_mcontext.gregs[REG_RIP] += instruction.length;
    else signal(number, SIG_DFL); // the instruction runs again and ends the process
}

__attribute__((constructor)) static void install(void) {
    struct sigaction action = {.sa_sigaction = on_illegal_instruction, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, NULL);
}
