/* The fast command: Python's interpreter with the package inside.
 *
 * The same as the launcher script, without what an ordinary start of Python spends before our
 * first line: no search for its own prefix, no dynamic libpython, no file of the standard library.
 * Linked with the distribution's static libpython; where there is none, the script does it.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <marshal.h>

#include <string.h>

#include "interpreter_data.h" /* frozen encodings, BOOT, paths: written by tools/embed.py */

extern const char image_start[], image_end[];
__asm__(".section .rodata\n.balign 16\n.globl image_start\nimage_start:\n.incbin \"" IMAGE "\"\n"
        ".globl image_end\nimage_end:\n.previous\n");

static int failed(const char *what)
{
    fprintf(stderr, "pycontainer: start the interpreter: %s\n", what);
    return 1;
}

static PyStatus configure(PyConfig *config, int argc, char **argv)
{
    static const wchar_t *const paths[] = { SEARCH_PATHS };
    PyStatus status;
    config->site_import = 0;
    config->install_signal_handlers = 1;
    config->parse_argv = 0;
    config->pathconfig_warnings = 0;
    config->module_search_paths_set = 1;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        status = PyWideStringList_Append(&config->module_search_paths, paths[i]);
        if (PyStatus_Exception(status))
            return status;
    }
    wchar_t **const fields[] = { &config->executable,  &config->base_executable,
                                 &config->prefix,      &config->base_prefix,
                                 &config->exec_prefix, &config->base_exec_prefix };
    for (size_t i = 0; i < 6; i++) {
        status = PyConfig_SetString(config, fields[i], i < 2 ? EXECUTABLE : PREFIX);
        if (PyStatus_Exception(status))
            return status;
    }
    return PyConfig_SetBytesArgv(config, argc, argv);
}

/* BOOT with its three names, then the command line. Only an error returns. */
static int run(void)
{
    PyObject *image =
        PyMemoryView_FromMemory((char *)image_start, image_end - image_start, PyBUF_READ);
    PyObject *globals = Py_BuildValue("{sNssss}", "image", image, "directory", DIRECTORY,
                                      "__name__", "boot");
    PyObject *found = PyDict_New();
    static const char *const extensions[][2] = { EXTENSIONS };
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
        if (found && extensions[i][0])
            PyDict_SetItemString(found, extensions[i][0], PyUnicode_FromString(extensions[i][1]));
    if (!globals || !found || PyDict_SetItemString(globals, "extensions", found) < 0 ||
        PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()) < 0)
        return failed("no memory");
    PyObject *code = PyMarshal_ReadObjectFromString((const char *)BOOT, sizeof(BOOT));
    PyObject *result = code ? PyEval_EvalCode(code, globals, globals) : NULL;
    PyObject *cli = result ? PyImport_ImportModule("pycontainer.cli") : NULL;
    PyObject *status = cli ? PyObject_CallMethod(cli, "main", NULL) : NULL;
    if (!status)
        PyErr_Print();
    return 1;
}

int main(int argc, char **argv)
{
    PyPreConfig early;
    PyConfig config;
    PyStatus status;
    PyPreConfig_InitIsolatedConfig(&early);
    early.utf8_mode = 1;
    status = Py_PreInitialize(&early);
    if (PyStatus_Exception(status))
        return failed(status.err_msg);
    PyImport_FrozenModules = FROZEN;
    PyConfig_InitIsolatedConfig(&config);
    status = configure(&config, argc, argv);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        return failed(status.err_msg);
    PyGC_Disable(); /* no command lives long enough to need it */
    return run();
}
