#include "core/table.h"

#include <cctype>
#include <string>

#include "core/error.h"

namespace ember {

namespace {
// Constant-initialised, so it is ready when the slots of other files are constructed.
SlotBase* slots = nullptr;
}  // namespace

SlotBase::SlotBase(const char* slot_name) : name(slot_name), next(slots) { slots = this; }

const SlotBase* SlotBase::first() { return slots; }

void SlotBase::require(Device device, DType dtype) const {
    if (EMBER_LIKELY(serves(device.type, dtype))) return;
    std::string upper = device_type_name(device.type);
    for (char& c : upper) c = char(std::toupper(c));
    raise(ErrorKind::NotImplemented, "%s: no %s kernel for %s", name, upper.c_str(),
          dtype_name(dtype));
}

}  // namespace ember
