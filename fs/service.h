/* Telling a service manager how we are: sd_notify's protocol, a datagram to $NOTIFY_SOCKET. Does nothing where there is none. */
#ifndef FS_SERVICE_H
#define FS_SERVICE_H

/* "READY=1", "STOPPING=1", "STATUS=..."; several are separated by line ends. */
void service_tell(const char *state);
void service_reloading(void);

#endif
