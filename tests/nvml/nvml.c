/* libnvidia-ml.so.1 of the tests: plays the machine that the file in DYNOCHECK_NVML describes.
 *
 * A line is `key = value`, for every GPU, or `gpu.N.key = value`, for one; the last that fits counts. A value
 * `!15` makes the call return NVML's error 15; a key that is missing makes it return 3, not supported. A value
 * `5+2` is 5 when it is asked for first, and 2 more each time after. `field_38` is NVML's field 38.
 * Structures are laid out as in NVIDIA's nvml.h of driver 580.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS, UNINITIALIZED, INVALID, UNSUPPORTED, NOT_FOUND = 6, TOO_SMALL = 7, NOT_LOADED = 9 };
enum { SYSTEM = -1, ROWS = 1024, RECOVERY = 230, LINK_COUNT = 91 };

typedef struct { int gpu; char key[48], value[128]; unsigned asked[64]; } Row;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } Process;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } Pci;
typedef struct {
    unsigned version;
    unsigned char cluster[16];
    int status;
    unsigned clique;
    unsigned char state;
    unsigned health;
} Fabric;
typedef struct { unsigned version; unsigned long counts[11]; unsigned exceeded; } Sram;
typedef struct {
    unsigned id, scope;
    long long timestamp, latency;
    int type, result;
    union { unsigned number; unsigned long long wide; } value;
} Field;

static Row rows[ROWS];
static int count, opened;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static Row *find_row(int gpu, const char *key) {
    Row *general = NULL;
    for (int i = count - 1; i >= 0; i--) {
        if (strcmp(rows[i].key, key)) continue;
        if (rows[i].gpu == gpu && gpu != SYSTEM) return &rows[i];
        if (rows[i].gpu == SYSTEM && !general) general = &rows[i];
    }
    return general;
}

static const char *find(int gpu, const char *key) {
    Row *row = find_row(gpu, key);
    return row ? row->value : NULL;
}

static int number(int gpu, const char *key, unsigned long long *value) {
    Row *row = find_row(gpu, key);
    char *end;
    if (!row) return UNSUPPORTED;
    if (*row->value == '!') return atoi(row->value + 1);
    *value = strtoull(row->value, &end, 0);
    if (*end == '+') *value += row->asked[(gpu + 1) % 64]++ * strtoull(end + 1, NULL, 0);
    return SUCCESS;
}

static int small(int gpu, const char *key, unsigned *value) {
    unsigned long long wide = 0;
    int result = number(gpu, key, &wide);
    if (result == SUCCESS) *value = (unsigned)wide;
    return result;
}

static int text(int gpu, const char *key, char *value, unsigned length) {
    const char *found = find(gpu, key);
    if (!found) return UNSUPPORTED;
    if (*found == '!') return atoi(found + 1);
    if (strlen(found) >= length) return TOO_SMALL;
    strcpy(value, found);
    return SUCCESS;
}

static int pair(int gpu, const char *first, const char *second, unsigned *a, unsigned *b) {
    int result = small(gpu, first, a);
    if (result == SUCCESS && small(gpu, second, b) != SUCCESS) *b = *a;
    return result;
}

/* A handle is the index plus one: NULL is no device. */
static int index_of(void *device) { return (int)(long)device - 1; }

static int read_machine(void) {
    const char *name = getenv("DYNOCHECK_NVML");
    FILE *file = name ? fopen(name, "r") : NULL;
    char line[256], key[48], value[128];
    count = 0;
    memset(rows, 0, sizeof rows);
    if (!file) return NOT_LOADED;
    while (count < ROWS && fgets(line, sizeof line, file)) {
        int gpu = SYSTEM, skipped = 0;
        if (sscanf(line, "gpu.%d.%n", &gpu, &skipped) < 1) gpu = SYSTEM, skipped = 0;
        if (sscanf(line + skipped, " %47[a-z_0-9] = %127[^\n]", key, value) != 2) continue;
        rows[count].gpu = gpu;
        strcpy(rows[count].key, key);
        strcpy(rows[count++].value, value);
    }
    fclose(file);
    unsigned long long unused;
    int result = number(SYSTEM, "init", &unused);
    return result == UNSUPPORTED ? SUCCESS : result;
}

/* As NVML's: what is open already is opened once more. */
int nvmlInitWithFlags(unsigned flags) {
    int result = SUCCESS;
    (void)flags;
    pthread_mutex_lock(&lock);
    if (!opened) result = read_machine();
    if (result == SUCCESS) opened++;
    pthread_mutex_unlock(&lock);
    return result;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) {
    pthread_mutex_lock(&lock);
    opened--;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

const char *nvmlErrorString(int result) {
    switch (result) {
    case 3: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    case 19: return "In use by another client";
    default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *value, unsigned length) { return text(SYSTEM, "driver", value, length); }
int nvmlSystemGetCudaDriverVersion_v2(unsigned *value) { return small(SYSTEM, "cuda", value); }
int nvmlDeviceGetCount_v2(unsigned *value) { return small(SYSTEM, "gpus", value); }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    unsigned many = 0;
    unsigned long long unused;
    int result = small(SYSTEM, "gpus", &many);
    if (result == SUCCESS && index >= many) return INVALID;
    *device = (void *)(long)(index + 1);
    result = number((int)index, "handle", &unused);
    return result == UNSUPPORTED ? SUCCESS : result;
}

int nvmlDeviceGetName(void *d, char *value, unsigned length) { return text(index_of(d), "name", value, length); }
int nvmlDeviceGetVbiosVersion(void *d, char *value, unsigned length) {
    return text(index_of(d), "firmware", value, length);
}
int nvmlDeviceGetUUID(void *d, char *value, unsigned length) {
    snprintf(value, length, "GPU-00000000-0000-4000-8000-%012d", index_of(d));
    return SUCCESS;
}
int nvmlDeviceGetPciInfo_v3(void *d, Pci *pci) {
    memset(pci, 0, sizeof *pci);
    pci->bus = 0x10u + (unsigned)index_of(d);
    snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", pci->bus);
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus);
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo(void *d, Memory *memory) {
    int result = number(index_of(d), "memory_mib", &memory->total);
    if (result != SUCCESS) return result;
    memory->used = 0;
    number(index_of(d), "used_mib", &memory->used);
    memory->total <<= 20, memory->used <<= 20;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}
int nvmlDeviceGetCudaComputeCapability(void *d, int *major, int *minor) {
    const char *found = find(index_of(d), "capability");
    return found && sscanf(found, "%d.%d", major, minor) == 2 ? SUCCESS : UNSUPPORTED;
}
int nvmlDeviceGetMigMode(void *d, unsigned *now, unsigned *next) {
    return pair(index_of(d), "mig", "mig_pending", now, next);
}
int nvmlDeviceGetMaxMigDeviceCount(void *d, unsigned *value) {
    int result = small(index_of(d), "slices", value);
    if (result == SUCCESS) *value = 7;
    return result;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void *d, unsigned index, void **slice) {
    unsigned slices = 0;
    int result = small(index_of(d), "slices", &slices);
    *slice = d;
    return result == SUCCESS && index >= slices ? NOT_FOUND : result;
}
int nvmlDeviceGetEccMode(void *d, unsigned *now, unsigned *next) {
    return pair(index_of(d), "ecc", "ecc_pending", now, next);
}
int nvmlDeviceGetTotalEccErrors(void *d, int kind, int counter, unsigned long long *value) {
    char key[48];
    snprintf(key, sizeof key, "%s_%s", kind ? "uncorrected" : "corrected", counter ? "aggregate" : "volatile");
    return number(index_of(d), key, value);
}
int nvmlDeviceGetRemappedRows(void *d, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
    int result = small(index_of(d), "remap_pending", pending);
    *corrected = *uncorrected = *failed = 0;
    small(index_of(d), "remap_failed", failed);
    small(index_of(d), "remapped", uncorrected);
    return result;
}
int nvmlDeviceGetNvLinkState(void *d, unsigned link, unsigned *active) {
    unsigned many = 0, down = 0;
    int result = small(index_of(d), "nvlinks", &many);
    if (result != SUCCESS) return result;
    if (link >= many) return INVALID;
    small(index_of(d), "nvlinks_down", &down); /* a mask */
    *active = !(down >> link & 1);
    return SUCCESS;
}
int nvmlDeviceGetCurrPcieLinkWidth(void *d, unsigned *value) { return small(index_of(d), "width", value); }
int nvmlDeviceGetMaxPcieLinkWidth(void *d, unsigned *value) { return small(index_of(d), "width_max", value); }
int nvmlDeviceGetRetiredPagesPendingStatus(void *d, unsigned *value) {
    return small(index_of(d), "retiring", value);
}
int nvmlDeviceGetCurrPcieLinkGeneration(void *d, unsigned *value) { return small(index_of(d), "generation", value); }
int nvmlDeviceGetMaxPcieLinkGeneration(void *d, unsigned *value) {
    return small(index_of(d), "generation_max", value);
}
int nvmlDeviceGetPerformanceState(void *d, unsigned *value) { return small(index_of(d), "performance", value); }
int nvmlDeviceGetCurrentClocksEventReasons(void *d, unsigned long long *value) {
    return number(index_of(d), "throttle", value);
}
int nvmlDeviceGetComputeMode(void *d, unsigned *value) { return small(index_of(d), "compute_mode", value); }

int nvmlDeviceGetComputeRunningProcesses_v3(void *d, unsigned *many, Process *processes) {
    const char *found = find(index_of(d), "processes"); /* PID,PID */
    unsigned room = *many;
    *many = 0;
    if (found && *found == '!') return atoi(found + 1);
    for (; found && *found; found += *found == ',') {
        char *end;
        unsigned pid = (unsigned)strtoul(found, &end, 10);
        if (end == found) break;
        if (*many < room) processes[*many] = (Process){pid, 0, ~0u, ~0u};
        ++*many;
        found = end;
    }
    return *many > room ? TOO_SMALL : SUCCESS;
}

int nvmlDeviceGetSramEccErrorStatus(void *d, Sram *sram) {
    unsigned exceeded = 0;
    int result = small(index_of(d), "sram_exceeded", &exceeded);
    if (result != SUCCESS) return result;
    if (sram->version != (1u << 24 | sizeof *sram)) return 25; /* argument version mismatch */
    sram->exceeded = exceeded;
    return SUCCESS;
}
int nvmlDeviceGetPcieReplayCounter(void *d, unsigned *value) { return small(index_of(d), "replays", value); }
int nvmlDeviceGetEnforcedPowerLimit(void *d, unsigned *value) { return small(index_of(d), "power_limit", value); }
int nvmlDeviceGetPowerManagementDefaultLimit(void *d, unsigned *value) {
    return small(index_of(d), "power_default", value);
}
int nvmlDeviceGetGpuFabricInfoV(void *d, Fabric *fabric) {
    unsigned state = 0, status = 0;
    int result = small(index_of(d), "fabric_state", &state);
    if (result != SUCCESS) return result;
    if (fabric->version != 0x02000024) return 25; /* argument version mismatch */
    small(index_of(d), "fabric_status", &status);
    fabric->state = (unsigned char)state, fabric->status = (int)status, fabric->health = 0;
    small(index_of(d), "fabric_health", &fabric->health);
    return SUCCESS;
}

int nvmlDeviceGetFieldValues(void *d, int many, Field *fields) {
    for (int i = 0; i < many; i++) {
        char key[48];
        snprintf(key, sizeof key, "field_%u", fields[i].id);
        if (fields[i].id == RECOVERY) strcpy(key, "recovery");
        if (fields[i].id == LINK_COUNT) strcpy(key, "nvlinks");
        fields[i].type = 3;
        fields[i].value.wide = 0;
        fields[i].result = number(index_of(d), key, &fields[i].value.wide);
    }
    return SUCCESS;
}
