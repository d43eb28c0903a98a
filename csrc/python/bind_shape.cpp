#include "python/tables.h"
namespace ember::python {
void bind_shape(BindTable&) {}
}
