/* libmosquitto as mosquitto_pub uses it: one thread, its own loop.
 *
 *     libmosquitto STEP PORT QOS COUNT WINDOW
 *
 * Prints the same figures as mqttbench. */

#include <mosquitto.h>
#include <mqtt_protocol.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const char *TOPIC = "bench/line/7/temperature";
static char payload[100];
static int qos;
static uint32_t count, window, sent, done;
static bool subscribed, connected;
static double *times;
static double asked;
static uint64_t question;

static void fail(const char *what, int code) {
    fprintf(stderr, "libmosquitto: %s: %s\n", what, mosquitto_strerror(code));
    exit(1);
}

static void check(const char *what, int code) {
    if (code != MOSQ_ERR_SUCCESS) fail(what, code);
}

static double wall(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static double cpu(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static void publish_one(struct mosquitto *client) {
    sent++;
    check("publish", mosquitto_publish(client, NULL, TOPIC, sizeof payload, payload, qos, false));
}

static void on_connect(struct mosquitto *client, void *data, int code) {
    (void)client, (void)data;
    if (code != 0) fail("connect", code);
    connected = true;
}

static void on_subscribe(struct mosquitto *client, void *data, int id, int n, const int *granted) {
    (void)client, (void)data, (void)id, (void)n, (void)granted;
    subscribed = true;
}

/* Acknowledged, or with QoS 0 written. The next one takes its place. */
static void on_publish(struct mosquitto *client, void *data, int id) {
    (void)data, (void)id;
    done++;
    if (qos > 0 && sent < count) publish_one(client);
}

static void on_message(struct mosquitto *client, void *data, const struct mosquitto_message *m) {
    (void)client, (void)data;
    if (m->payloadlen != sizeof payload) fail("message", MOSQ_ERR_PAYLOAD_SIZE);
    done++;
}

static void ask(struct mosquitto *client) {
    mosquitto_property *properties = NULL;
    question++;
    asked = wall();
    mosquitto_property_add_string(&properties, MQTT_PROP_RESPONSE_TOPIC, "answers");
    mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA, &question, sizeof question);
    check("ask", mosquitto_publish_v5(client, NULL, "ask", sizeof payload, payload, 0, false, properties));
    mosquitto_property_free_all(&properties);
}

static void on_answer(struct mosquitto *client, void *data, const struct mosquitto_message *m,
                      const mosquitto_property *properties) {
    void *number = NULL;
    uint16_t bytes = 0;
    (void)data, (void)m;
    mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, &number, &bytes, false);
    if (bytes != sizeof question || memcmp(number, &question, bytes) != 0) fail("answer", MOSQ_ERR_PROTOCOL);
    free(number);
    times[done++] = wall() - asked;
    if (done < count) ask(client);
}

static void turn(struct mosquitto *client) {
    check("loop", mosquitto_loop(client, 1000, 1));
}

static void figures(double wall_from, double cpu_from) {
    struct rusage usage;
    double wall_time = wall() - wall_from, cpu_time = cpu() - cpu_from;
    getrusage(RUSAGE_SELF, &usage);
    printf("per_s %f\ncpu_us %f\npeak_kib %ld\n", count / wall_time, cpu_time / count * 1e6, usage.ru_maxrss);
}

static void publish(struct mosquitto *client) {
    mosquitto_publish_callback_set(client, on_publish);
    double wall_from = wall(), cpu_from = cpu();
    if (qos == 0) {
        while (sent < count) {
            publish_one(client);
            while (mosquitto_want_write(client)) turn(client);
        }
        while (done < count) turn(client);
        /* Its acknowledgement says that those before it have arrived. */
        done = 0, qos = 1;
        check("publish", mosquitto_publish(client, NULL, TOPIC, 0, NULL, 1, false));
        sent = count;
        while (done < 1) turn(client);
    } else {
        while (sent < window && sent < count) publish_one(client);
        while (done < count) turn(client);
    }
    figures(wall_from, cpu_from);
}

static void receive(struct mosquitto *client) {
    char order[64];
    mosquitto_message_callback_set(client, on_message);
    check("subscribe", mosquitto_subscribe(client, NULL, "feed", qos));
    while (!subscribed) turn(client);
    snprintf(order, sizeof order, "%d %u %u", qos, count, window);
    double wall_from = wall(), cpu_from = cpu();
    check("publish", mosquitto_publish(client, NULL, "start", (int)strlen(order), order, 1, false));
    while (done < count) turn(client);
    figures(wall_from, cpu_from);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void request(struct mosquitto *client) {
    times = calloc(count, sizeof *times);
    mosquitto_message_v5_callback_set(client, on_answer);
    check("subscribe", mosquitto_subscribe(client, NULL, "answers", 0));
    while (!subscribed) turn(client);
    double wall_from = wall(), cpu_from = cpu();
    ask(client);
    while (done < count) turn(client);
    figures(wall_from, cpu_from);
    qsort(times, count, sizeof *times, ascending);
    printf("p50_us %f\np99_us %f\n", times[count / 2] * 1e6, times[(uint64_t)count * 99 / 100] * 1e6);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: libmosquitto STEP PORT QOS COUNT WINDOW\n");
        return 64;
    }
    const char *step = argv[1];
    qos = atoi(argv[3]), count = (uint32_t)atol(argv[4]), window = (uint32_t)atol(argv[5]);
    memset(payload, 'x', sizeof payload);
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new("bench-libmosquitto", true, NULL);
    if (client == NULL) fail("new", MOSQ_ERR_NOMEM);
    bool asks = strcmp(step, "request") == 0;
    mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, asks ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
    mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_max_inflight_messages_set(client, window);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    check("connect", mosquitto_connect(client, "127.0.0.1", atoi(argv[2]), 60));
    while (!connected) turn(client);
    if (asks) request(client);
    else if (strcmp(step, "receive") == 0) receive(client);
    else if (strcmp(step, "publish") == 0) publish(client);
    else return 64;
    mosquitto_destroy(client);
    mosquitto_lib_cleanup();
    return 0;
}
