/* File systems whose files are made up by the kernel when they are read: what is read there
 * with our privileges may be secret, and some reading has effects (/proc/kmsg). */
#ifndef PSEUDO_FS_H
#define PSEUDO_FS_H

#include <linux/magic.h>
#include <stddef.h>
#include <stdint.h>

static inline int is_pseudo_fs(uint64_t type)
{
    static const uint32_t types[] = {
        PROC_SUPER_MAGIC,
        SYSFS_MAGIC,
        CGROUP_SUPER_MAGIC,
        CGROUP2_SUPER_MAGIC,
        DEBUGFS_MAGIC,
        TRACEFS_MAGIC,
        SECURITYFS_MAGIC,
        SELINUX_MAGIC,
        SMACK_MAGIC,
        BPF_FS_MAGIC,
        PSTOREFS_MAGIC,
        EFIVARFS_MAGIC,
        BINFMTFS_MAGIC,
        DEVPTS_SUPER_MAGIC,
        NSFS_MAGIC,
        PIPEFS_MAGIC,
        SOCKFS_MAGIC,
        XENFS_SUPER_MAGIC,
        USBDEVICE_SUPER_MAGIC,
        RDTGROUP_SUPER_MAGIC,
        0x62656570 /* configfs */,
        0x65735543 /* fusectl */,
        0x19800202 /* mqueue */,
        0x5a3c69f0 /* apparmor */,
        0x6e667364 /* nfsd */,
        0x67596969 /* rpc_pipefs */,
        0x958458f6 /* hugetlbfs */,
        0x09041934 /* anonymous inodes */,
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if ((uint32_t)type == types[i])
            return 1;
    return 0;
}

#endif
