package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pico-auth/pico-auth/internal/job"
	"github.com/pico-auth/pico-auth/internal/store"
)

// serviceCollector reads the counters of the packages when /metrics is
// requested, so that those packages do not depend on Prometheus.
type serviceCollector struct {
	services *Services
	jobs     *job.Runner
}

var (
	logins          = desc("logins_total", "Logins, by outcome.", "outcome")
	throttled       = desc("throttled_total", "Attempts refused by a limit, by what it counts.", "counter")
	hashingWaiting  = desc("password_hashing_waiting", "Callers waiting for a password hash.")
	hashingRunning  = desc("password_hashing_running", "Password hashes being computed.")
	hashingDone     = desc("password_hashing_total", "Password hashes computed.")
	hashingRefused  = desc("password_hashing_refused_total", "Callers refused because the queue was full.")
	hashingSeconds  = desc("password_hashing_seconds_total", "Time used for hashing passwords, over all workers.")
	refreshes       = desc("refreshes_total", "Refresh tokens rotated.")
	reuses          = desc("refresh_reuse_total", "Used refresh tokens that were presented again and ended their session.")
	refreshRepeated = desc("refresh_repeated_total", "Pairs of tokens issued again within the reuse grace.")
	refreshLimited  = desc("refresh_limited_total", "Refreshes refused because their session, or its user, had too many.")
	refreshRefused  = desc("refresh_refused_total", "Refresh tokens refused for other reasons.")
	logouts         = desc("logout_deliveries_total", "Clients told that a session has ended, by outcome: delivered, failed (an attempt), dead (not repeated any more).", "outcome")
	signatures      = desc("signatures_total", "Access tokens signed.")
	signaturesBad   = desc("signatures_failed_total", "Access tokens that could not be signed.")
	signingSeconds  = desc("signing_seconds_total", "Time used for signing.")
	keysByStatus    = desc("signing_keys", "Signing keys in the key set, by status.", "status")
	keyBehind       = desc("signing_key_behind", "1 while another key is active, or due to be, and is unavailable to this server.")
	keyAge          = desc("signing_key_age_seconds", "Time since the active signing key was activated.")
	dbTransactions  = desc("database_transactions_total", "Writing transactions.")
	dbBatches       = desc("database_commits_total", "Commits; each may carry several transactions.")
	dbQueue         = desc("database_write_queue", "Transactions waiting for the writer.")
	dbRefused       = desc("database_refused_total", "Transactions refused because the queue was full.")
	dbDamaged       = desc("database_damaged", "1 after damage of the database was detected.")
	dbReadSeconds   = desc("database_read_seconds_total", "Time used for reading.")
	dbWriteSeconds  = desc("database_write_seconds_total", "Time used for writing transactions.")
	jobSuccess      = desc("job_last_success_timestamp_seconds", "Time of the last run of the background job on this server that succeeded.", "job")
	jobFailures     = desc("job_failures_total", "Runs of the background job that failed.", "job")
	allDescriptions = []*prometheus.Desc{
		logins, throttled, hashingWaiting, hashingRunning, hashingDone, hashingRefused, hashingSeconds, refreshes, refreshRepeated, refreshLimited, reuses, refreshRefused,
		logouts, signatures, signaturesBad, signingSeconds, keysByStatus, keyAge, keyBehind, dbTransactions, dbBatches, dbQueue, dbRefused, dbDamaged, dbReadSeconds, dbWriteSeconds,
		jobSuccess, jobFailures,
	}
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("pico_auth_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (*serviceCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range allDescriptions {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *serviceCollector) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v int) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	l := c.services.Login.Stats()
	for outcome, n := range map[string]uint64{
		"success": l.Succeeded, "unknown_user": l.UnknownUser, "wrong_password": l.WrongPassword,
		"suspended": l.Suspended, "default_password": l.Published, "throttled": l.Throttled, "error": l.Failed,
	} {
		count(logins, float64(n), outcome)
	}
	for counter, n := range c.services.Throttle.Stats() {
		count(throttled, float64(n), counter)
	}
	p := c.services.Passwords.Stats()
	gauge(hashingWaiting, p.Waiting)
	gauge(hashingRunning, p.Running)
	count(hashingDone, float64(p.Done))
	count(hashingRefused, float64(p.Refused))
	count(hashingSeconds, p.Seconds)
	t := c.services.Tokens.Stats()
	count(refreshes, float64(t.Rotated))
	count(refreshRepeated, float64(t.Repeated))
	count(refreshLimited, float64(t.Limited))
	count(reuses, float64(t.Reused))
	count(refreshRefused, float64(t.Refused))
	o := c.services.Logouts.Stats()
	for outcome, n := range map[string]uint64{"delivered": o.Delivered, "failed": o.Failed, "dead": o.Dead} {
		count(logouts, float64(n), outcome)
	}
	k := c.services.Keys.Stats()
	count(signatures, float64(k.Signed))
	count(signaturesBad, float64(k.Failed))
	count(signingSeconds, k.Seconds)
	c.collectKeys(ch)
	s := c.services.Store.Stats()
	count(dbTransactions, float64(s.Transactions))
	count(dbBatches, float64(s.Batches))
	gauge(dbQueue, s.Queue)
	count(dbRefused, float64(s.Refused))
	damaged := 0
	if s.Damaged {
		damaged = 1
	}
	gauge(dbDamaged, damaged)
	count(dbReadSeconds, s.ReadSeconds)
	count(dbWriteSeconds, s.WriteSeconds)
	c.collectJobs(ch)
}

func (c *serviceCollector) collectKeys(ch chan<- prometheus.Metric) {
	counts := map[store.KeyStatus]int{store.KeyPending: 0, store.KeyActive: 0, store.KeyRetiring: 0}
	for _, k := range c.services.Keys.Published().Keys() {
		counts[k.Status]++
	}
	for status, n := range counts {
		ch <- prometheus.MustNewConstMetric(keysByStatus, prometheus.GaugeValue, float64(n), status.String())
	}
	behind := 0.0
	if c.services.Keys.Behind() {
		behind = 1
	}
	ch <- prometheus.MustNewConstMetric(keyBehind, prometheus.GaugeValue, behind)
	age := time.Since(c.services.Keys.Active().ActivatedAt)
	ch <- prometheus.MustNewConstMetric(keyAge, prometheus.GaugeValue, max(age, 0).Seconds())
}

func (c *serviceCollector) collectJobs(ch chan<- prometheus.Metric) {
	for _, j := range c.jobs.Stats() {
		ch <- prometheus.MustNewConstMetric(jobFailures, prometheus.CounterValue, float64(j.Failures), j.Name)
		if !j.LastSuccess.IsZero() { // else another replica has the lease, or it is not due yet
			ch <- prometheus.MustNewConstMetric(jobSuccess, prometheus.GaugeValue, float64(j.LastSuccess.UnixMilli())/1000, j.Name)
		}
	}
}
